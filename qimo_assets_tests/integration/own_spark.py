"""A Spark of somebody's own: it has the properties of docs/readers.md, and nothing of this project.

    python own_spark.py JSON

Prints what it read of a day of the lake, and of the topic, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.avro.functions import from_avro

TABLE = "qimo.chat_message_rt"
OF_ONE_FILE = "event.headers['file'] LIKE '%chat-1.log~%'"


def lake(spark: SparkSession, day: str) -> dict[str, Any]:
    """Read the day as it is, as of the commit before the newest, and what came since each."""
    description = spark.sql(f"DESCRIBE FORMATTED {TABLE}")
    [[_, place, _]] = description.where("col_name = 'Location'").collect()
    newest, before = spark.sql(f"CALL show_commits(table => '{TABLE}', limit => 2)").collect()

    def read(**options: str) -> DataFrame:
        return spark.read.format("hudi").options(**options).load(place)

    def since(commit: Any) -> int:
        incremental = {
            "hoodie.datasource.query.type": "incremental",
            "hoodie.datasource.read.begin.instanttime": commit["state_transition_time"],
        }
        return read(**incremental).count()

    past = read(**{"as.of.instant": before["commit_time"]})
    rows = spark.table(TABLE).where(f"day = '{day}'")
    return {
        "place": place,
        "rows": rows.count(),
        "days": [found for (found,) in rows.select("day").distinct().collect()],
        "before": before["commit_time"],
        "newest": newest["commit_time"],
        "as of the one before": past.where(f"day = '{day}'").count(),
        "since the newest": since(newest),
        "since the one before": since(before),
    }


def lines(spark: SparkSession, kafka: str, topic: str, schema: str) -> list[str]:
    """Read the lines of one file from the topic."""
    records = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", kafka)
        .option("subscribe", topic)
        .load()
    )
    events = records.select(from_avro("value", schema, {"mode": "PERMISSIVE"}).alias("event"))
    found = events.where(OF_ONE_FILE).select("event.body").collect()
    return [bytes(body).decode(errors="replace") for (body,) in found]


def main(asked: dict[str, Any]) -> None:
    """Read what is asked for."""
    builder = SparkSession.Builder().master("local[2]")
    for name, value in asked["properties"].items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    of_topic = lines(spark, asked["kafka"], asked["topic"], asked["schema"])
    print(json.dumps({**lake(spark, asked["day"]), "lines": of_topic}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
