"""One Spark SQL job that makes every metric's table anew from its view: what publishing costs
without partitions.

    python -m benchmarks.rewrite

The tables are named `rewritten_*` and stand beside the platform's own.
"""

from __future__ import annotations

import os

from pyspark.sql import SparkSession

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.resources.spark import spark_properties
from qimo_assets.settings import load_settings
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import current_layout

ROWS_PER_INSERT = 1_000


def main() -> None:
    """Write all tables."""
    settings = load_settings()
    properties = spark_properties(settings)
    jars = [
        properties["spark.driver.extraClassPath"],
        *map(str, class_path(current_layout(), "connectorj")),
    ]
    own = {
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
    }
    builder = SparkSession.Builder()
    for name, value in {**properties, **own}.items():
        builder = builder.config(name, value)
    spark = builder.enableHiveSupport().getOrCreate()
    mysql = settings.mysql
    target = {
        "url": f"jdbc:mysql://{mysql.host}:{mysql.port}/{mysql.database}?rewriteBatchedStatements=true",
        "driver": "com.mysql.cj.jdbc.Driver",
        "user": mysql.username,
        "password": mysql.password.get_secret_value(),
        "batchsize": str(ROWS_PER_INSERT),
    }
    for metric in METRICS:
        rows = spark.table(f"{settings.lake.database}.{metric.name}")
        rows.write.format("jdbc").options(**target, dbtable=f"rewritten_{metric.name}").mode(
            "overwrite"
        ).save()
    spark.stop()


if __name__ == "__main__":
    main()
