#!/bin/sh
# Question: do files have no Bloom filter once `hoodie.parquet.bloom.filter.enabled` is false?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: an upsert heeds the option. A bulk insert with the row writer, which is the default,
#   does not: each file has a filter in its footer, made for hoodie.index.bloom.num_entries (60,000)
#   keys however few rows there are. A file of ten rows has more than 400 kB.
# Seen: upsert 3 kB without a filter; bulk insert 434 kB with a filter; bulk insert for one entry 3
#   kB with a filter
# So: where files are small, also set the filter's type to SIMPLE and its entries to 1.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WORK="$work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pyspark==3.5.7 pyarrow==18.1.0 setuptools==80.9.0
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

import pyarrow.parquet
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


def written(name, operation, **more):
    """Write ten rows; return the kilobytes of the file, and whether it has a filter."""
    rows = spark.sql("SELECT CAST(id AS STRING) AS id, 1 AS v FROM range(0, 10, 1, 1)")
    options = {
        "hoodie.table.name": name,
        "hoodie.datasource.write.recordkey.field": "id",
        "hoodie.datasource.write.keygenerator.class": "org.apache.hudi.keygen.NonpartitionedKeyGenerator",
        "hoodie.datasource.write.operation": operation,
        "hoodie.parquet.bloom.filter.enabled": "false",
        "hoodie.metadata.enable": "false",
        "hoodie.index.type": "SIMPLE",
        **more,
    }
    rows.write.format("hudi").options(**options).mode("overwrite").save(f"{work}/{name}")
    [file] = Path(work, name).glob("*.parquet")
    footer = pyarrow.parquet.read_metadata(file).metadata
    return round(file.stat().st_size / 1000), any(b"bloom" in key for key in footer)


found = (
    written("upserted", "upsert"),
    written("appended", "bulk_insert"),
    written("for_one_key", "bulk_insert", **{"hoodie.bloom.index.filter.type": "SIMPLE", "hoodie.index.bloom.num_entries": "1"}),
)
for name, (size, has_filter) in zip(("upsert", "bulk insert", "bulk insert for one entry"), found):
    print(f"{name} {size} kB {'with' if has_filter else 'without'} a filter")
(upsert, of_upsert), (bulk, of_bulk), (small, of_small) = found
assert upsert < 20 and not of_upsert, found
assert bulk > 400 and of_bulk, found
assert small < 20 and of_small, found
PY
