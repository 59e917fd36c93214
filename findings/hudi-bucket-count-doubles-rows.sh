#!/bin/sh
# Question: may the number of buckets of a table with the bucket index change, as its other write
#   options may?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: each write takes the option without an error. A key whose bucket is another one then is
#   written there once more, and the old value stays beside the new one.
# Seen: rows 16, different keys 8
# So: keep the number of buckets with the table, and refuse to write with another one.
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
options = {
    "hoodie.table.name": "t",
    "hoodie.datasource.write.table.type": "MERGE_ON_READ",
    "hoodie.datasource.write.recordkey.field": "id",
    "hoodie.datasource.write.precombine.field": "v",
    "hoodie.datasource.write.keygenerator.class": "org.apache.hudi.keygen.NonpartitionedKeyGenerator",
    "hoodie.index.type": "BUCKET",
    "hoodie.upsert.shuffle.parallelism": "1",
}
for buckets, mode, value in ((2, "overwrite", 1), (4, "append", 2), (1, "append", 3)):
    rows = spark.sql(f"SELECT CAST(id AS STRING) AS id, {value} AS v FROM range(8)")
    write = rows.write.format("hudi").options(**options)
    write.option("hoodie.bucket.index.num.buckets", buckets).mode(mode).save(f"{work}/t")
read = spark.read.format("hudi").load(f"{work}/t")
found = (read.count(), read.select("id").distinct().count())
print("rows %d, different keys %d" % found)
assert found == (16, 8), found
PY
