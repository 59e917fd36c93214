#!/bin/sh
# Question: is a merge-on-read table without any log file read in columnar batches, as its base files
#   alone are?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: the snapshot query is planned without batches for the type of the table, whatever its
#   files are; rows are made one by one. The read-optimized query of the same files has batches.
# Seen: batched: snapshot of a copied-on-write table True, snapshot of a merged-on-read table False, its
#   read-optimized query True; log files 0
# So: where no log file stands, and a question is large, ask the read-optimized table.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WORK="$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyspark==3.5.7 setuptools==80.9.0
# Ivy, which pyspark brings, fetches a jar from the resolver that it is set to.
echo '<ivysettings><settings defaultResolver="central"/><resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>' >"$work/ivy.xml"
fetch() {
    java -jar "$work"/venv/lib/python3*/site-packages/pyspark/jars/ivy-*.jar -error -settings "$work/ivy.xml" \
        -cache "$work/ivy" -dependency "$1" "$2" "$3" -confs master -retrieve "$work/[artifact].[ext]" >"$work/fetch.log" || { cat "$work/fetch.log"; exit 1; }
}
fetch org.apache.hudi hudi-spark3.5-bundle_2.12 1.2.0
"$work/venv/bin/python" - <<'PY'
import os
from pathlib import Path

from pyspark.sql import SparkSession

work = os.environ["WORK"]
settings = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.driver.extraClassPath": f"{work}/hudi-spark3.5-bundle_2.12.jar",
    "spark.local.dir": work,
    "spark.sql.warehouse.dir": f"{work}/warehouse",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
}
builder = SparkSession.builder
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


def made(kind):
    """Make a table of a thousand rows, and return its path."""
    options = {
        "hoodie.table.name": kind,
        "hoodie.datasource.write.table.type": kind,
        "hoodie.datasource.write.recordkey.field": "id",
        "hoodie.datasource.write.partitionpath.field": "",
        "hoodie.datasource.write.operation": "bulk_insert",
        "hoodie.metadata.enable": "false",
    }
    rows = spark.sql("SELECT uuid() AS id, id AS n FROM range(0, 1000, 1, 1)")
    rows.write.format("hudi").options(**options).save(f"{work}/{kind}")
    return f"{work}/{kind}"


def is_batched(path, query):
    """Return whether the plan of a query has columnar batches."""
    frame = spark.read.format("hudi").option("hoodie.datasource.query.type", query).load(path)
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    frame.createOrReplaceTempView("asked")
    [plan] = spark.sql("EXPLAIN FORMATTED SELECT sum(n) FROM asked").first()
    [batched] = [line.split()[1] == "true" for line in plan.splitlines() if line.startswith("Batched:")]
    return batched


written, merged = made("COPY_ON_WRITE"), made("MERGE_ON_READ")
log_files = [file for file in Path(merged).rglob("*") if ".log." in file.name]
seen = (is_batched(written, "snapshot"), is_batched(merged, "snapshot"), is_batched(merged, "read_optimized"))
print(
    "batched: snapshot of a copied-on-write table {}, snapshot of a merged-on-read table {}, its read-optimized "
    "query {}; log files {}".format(*seen, len(log_files))
)
assert seen == (True, False, True) and not log_files
PY
