"""The metrics: their catalog as data, and their publication from the Hive views to MySQL."""
