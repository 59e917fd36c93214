#!/bin/sh
# Question: does a table keep the merge mode that its first write asks for?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: with an ordering field it does not. The write that makes the table drops
#   COMMIT_TIME_ORDERING without an error, and the table's properties say EVENT_TIME_ORDERING. The
#   next write with the very same options is refused because of the difference.
# Seen: hoodie.record.merge.mode=EVENT_TIME_ORDERING then: Config conflict
# So: look into hoodie.properties after a table is made; a test that writes once does not see this.
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
    "hoodie.table.ordering.fields": "v",
    "hoodie.record.merge.mode": "COMMIT_TIME_ORDERING",
    "hoodie.datasource.write.keygenerator.class": "org.apache.hudi.keygen.NonpartitionedKeyGenerator",
}
path = f"{work}/t"
write = spark.sql("SELECT '1' AS id, 1 AS v").write.format("hudi").options(**options)
write.mode("overwrite").save(path)
lines = Path(path, ".hoodie/hoodie.properties").read_text().splitlines()
(mode,) = [line for line in lines if line.startswith("hoodie.record.merge.mode=")]
try:
    write.mode("append").save(path)
    refused = ""
except Exception as error:
    refused = str(error)
print(mode, "then:", "Config conflict" if "Config conflict" in refused else refused[:200] or "written")
assert mode.endswith("EVENT_TIME_ORDERING"), mode
assert "Config conflict" in refused, refused
PY
