#!/bin/sh
# Question: does clustering with the stream-copy strategies copy the pages of Parquet files, as their
#   description says, whatever the type of the table?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: of a table that is copied on write the row groups are copied as they are. Of one that is
#   merged on read they are decoded and written anew, although it has no log file; nothing says so.
# Seen: row groups of the file that four files became: copy on write 4, merge on read 1
# So: count row groups before you reckon with a cheap copy.
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

import pyarrow.parquet as pq
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
PACKAGE = "org.apache.hudi.client.clustering"


def row_groups(kind):
    """Put four files of a table together; return the row groups of what they became."""
    path = f"{work}/{kind}"
    options = {
        "hoodie.table.name": kind,
        "hoodie.datasource.write.table.type": kind,
        "hoodie.datasource.write.recordkey.field": "id",
        "hoodie.datasource.write.partitionpath.field": "",
        "hoodie.datasource.write.operation": "bulk_insert",
        "hoodie.metadata.enable": "false",
        "hoodie.clustering.inline": "false",
    }
    for number in range(4):
        rows = spark.sql("SELECT uuid() AS id, id AS n FROM range(0, 1000, 1, 1)")
        rows.write.format("hudi").options(**options).mode("append").save(path)
    before = {file.name for file in Path(path).glob("*.parquet")}
    assert len(before) == 4
    given = {
        "hoodie.metadata.enable": "false",
        "hoodie.clustering.plan.strategy.class": f"{PACKAGE}.plan.strategy.SparkStreamCopyClusteringPlanStrategy",
        "hoodie.clustering.execution.strategy.class": f"{PACKAGE}.run.strategy.SparkStreamCopyClusteringExecutionStrategy",
    }
    listed = ",".join(f"{key}={value}" for key, value in given.items())
    spark.sql(f"CALL run_clustering(path => '{path}', op => 'scheduleAndExecute', options => '{listed}')").collect()
    [made] = [file for file in Path(path).glob("*.parquet") if file.name not in before]
    assert spark.read.format("hudi").load(path).count() == 4000
    return pq.ParquetFile(made).num_row_groups


copied, merged = row_groups("COPY_ON_WRITE"), row_groups("MERGE_ON_READ")
print(f"row groups of the file that four files became: copy on write {copied}, merge on read {merged}")
assert (copied, merged) == (4, 1)
PY
