"""The embedded stack: the same Kafka, HDFS, Hive, Spark, MariaDB, Flume and Dagster as a company's,
on one machine.

Installs from package registries, renders configurations, and runs everything under supervisord
without root. It knows nothing of the assets; the rooms know nothing of it.
"""
