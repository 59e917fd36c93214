#!/bin/sh
# Question: what does `CALL show_commits(table => ..., limit => 1)` read of a table's timeline?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: the details of every completed commit of the active timeline; the limit is applied to
#   the rows that were made of them. `show_timeline` with the same limit reads none.
# Seen: show_commits: 16,132 bytes with 4 commits, 96,878 with 24; show_timeline: 0 bytes and 0
# So: to learn the newest commit ask show_timeline. The other call grows with the timeline, and beside
#   a writer it may meet a commit that was archived since it was listed, and fail.
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
}
builder = SparkSession.builder
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
spark.sql(
    "CREATE TABLE chat (id INT, day STRING) USING hudi PARTITIONED BY (day) TBLPROPERTIES "
    "('hoodie.spark.sql.insert.into.operation' = 'bulk_insert', 'hoodie.metadata.enable' = 'false')"
)
jvm = spark._jvm
# Hudi's client opens files by the class that is registered for the scheme.
files = jvm.org.apache.hadoop.fs.FileSystem


def read_by(call):
    """Return how many bytes of commits' details a call reads, without what any call reads."""
    before = bytes_read()
    spark.sql(call).collect()
    return bytes_read() - before


def bytes_read():
    return sum(one.getBytesRead() for one in files.getAllStatistics())


def rows_of(procedure):
    usual = read_by("CALL show_table_properties(table => 'chat')")
    return read_by(f"CALL {procedure}(table => 'chat', limit => 1)") - usual


def insert(commits):
    for number in range(commits):
        spark.sql(f"INSERT INTO chat SELECT id, concat('2026-01-', {10 + number % 10}) FROM range(5)")


insert(4)
few = {name: rows_of(name) for name in ("show_commits", "show_timeline")}
insert(20)
many = {name: rows_of(name) for name in ("show_commits", "show_timeline")}
for name in few:
    print(f"{name}: {few[name]:,} bytes with 4 commits, {many[name]:,} with 24")
assert many["show_commits"] > 5 * few["show_commits"] > 0
assert many["show_timeline"] <= few["show_commits"]
PY
