#!/bin/sh
# Question: can a reader that remembers where it stopped use the same instant for an incremental query and for time travel?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: no. An incremental query begins behind a commit's completion time; time travel, and the column _hoodie_commit_time that rows
#   carry, go by the time at which the commit was requested. Begun at the commit time of the newest row, the incremental query delivers
#   that commit again; time travel to a moment before a commit was completed already shows its rows.
# Seen: from the requested time: 1 row again; from the completion time: 0 rows; as of the requested time: 2 rows
# So: remember completion times (the file names in .hoodie/timeline hold both), and never mix the two clocks.
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
    "spark.master": "local[1]",
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
from pathlib import Path

options = {
    "hoodie.table.name": "t",
    "hoodie.datasource.write.table.type": "MERGE_ON_READ",
    "hoodie.datasource.write.recordkey.field": "id",
    "hoodie.datasource.write.precombine.field": "v",
    "hoodie.datasource.write.keygenerator.class": "org.apache.hudi.keygen.NonpartitionedKeyGenerator",
}
path = f"{work}/t"
for number, mode in ((1, "overwrite"), (2, "append")):
    rows = spark.sql(f"SELECT '{number}' AS id, 1 AS v")
    rows.write.format("hudi").options(**options).mode(mode).save(path)
commits = sorted(Path(path, ".hoodie/timeline").glob("*_*.deltacommit"))
requested, completed = commits[-1].stem.split("_")
assert requested < completed, commits


def since(instant):
    query = spark.read.format("hudi").option("hoodie.datasource.query.type", "incremental")
    return query.option("hoodie.datasource.read.begin.instanttime", instant).load(path).count()


as_of = spark.read.format("hudi").option("as.of.instant", requested).load(path).count()
found = (since(requested), since(completed), as_of)
print("from the requested time %d, from the completion time %d, as of the requested time %d" % found)
assert found == (1, 0, 2), found
PY
