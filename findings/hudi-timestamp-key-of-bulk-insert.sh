#!/bin/sh
# Question: does a row that was bulk inserted meet its successor when the record key is a TIMESTAMP?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: no. bulk_insert with the row writer, which is the default, writes the key as a text
#   ("2026-11-01 08:00:00.0"), upsert as microseconds since 1970. The upsert finds nothing, and the
#   row is there twice, without an error.
# Seen: rows 2 keys ['1793520000000000', '2026-11-01 08:00:00.0']
# So: make the key a text before the table is made, or write with one operation for ever. Hudi's FAQ
#   also names an option for it, to be set from the first write and not tried here:
#   hoodie.datasource.write.keygenerator.consistent.logical.timestamp.enabled
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WORK="$work" TZ=UTC
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
options = {
    "hoodie.table.name": "t",
    "hoodie.datasource.write.recordkey.field": "at",
    "hoodie.datasource.write.precombine.field": "v",
    "hoodie.datasource.write.keygenerator.class": "org.apache.hudi.keygen.NonpartitionedKeyGenerator",
    "hoodie.bulkinsert.shuffle.parallelism": "1",
}
for operation, mode, value in (("bulk_insert", "overwrite", 1), ("upsert", "append", 2)):
    rows = spark.sql(f"SELECT TIMESTAMP '2026-11-01 08:00:00' AS at, {value} AS v")
    write = rows.write.format("hudi").options(**options)
    write.option("hoodie.datasource.write.operation", operation).mode(mode).save(f"{work}/t")
keys = sorted(row["_hoodie_record_key"] for row in spark.read.format("hudi").load(f"{work}/t").collect())
print("rows", len(keys), "keys", keys)
assert keys == ["1793520000000000", "2026-11-01 08:00:00.0"], keys
PY
