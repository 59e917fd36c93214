#!/bin/sh
# Question: does the timeline of deltacommits of a MERGE_ON_READ table hold every write?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: no. The row writer's bulk insert that makes the table is recorded as a plain commit, as
#   in a copy-on-write table; the next one is a deltacommit. getDeltaCommitTimeline() never has the
#   first write, nor what the metadata of its commit tells.
# Seen: actions ['commit', 'deltacommit'], operations ['BULK_INSERT', 'BULK_INSERT'], deltacommits 1
# So: go through getCommitsTimeline(), and tell writes from services by the operation that each
#   commit's metadata names.
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
    "hoodie.datasource.write.partitionpath.field": "day",
    "hoodie.datasource.write.operation": "bulk_insert",
    "hoodie.datasource.write.row.writer.enable": "true",
}
path = f"{work}/t"
for number in "12":
    rows = spark.sql(f"SELECT '{number}' AS id, '2024-05-06' AS day")
    rows.write.format("hudi").options(**options).mode("append").save(path)

jvm = spark._jvm
storage = jvm.org.apache.hudi.hadoop.fs.HadoopFSUtils.getStorageConf(spark._jsc.hadoopConfiguration())
client = jvm.org.apache.hudi.common.table.HoodieTableMetaClient.builder().setBasePath(path).setConf(storage).build()
timeline = client.getActiveTimeline()
every = timeline.getCommitsTimeline().filterCompletedInstants()
actions = [instant.getAction() for instant in every.getInstants()]
operations = [every.readCommitMetadata(instant).getOperationType().name() for instant in every.getInstants()]
deltas = timeline.getDeltaCommitTimeline().filterCompletedInstants().countInstants()
print(f"actions {actions}, operations {operations}, deltacommits {deltas}")
assert actions == ["commit", "deltacommit"], actions
assert operations == ["BULK_INSERT", "BULK_INSERT"], operations
assert deltas == 1, deltas
assert spark.read.format("hudi").load(path).count() == 2
PY
