#!/bin/sh
# Question: does `run_clustering` put the small files of all partitions together that it is asked
#   for?
# Versions: Hudi 1.2.0, Spark 3.5.7.
# Behaviour: a plan takes hoodie.clustering.plan.strategy.max.num.groups groups, 30 by default, and
#   each partition needs one at least. The partitions beyond are left out without an error.
# Seen: asked for 31 partitions, put together 30; with a larger limit 31
# So: set the limit, or count the partitions that the replacing commit names.
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
PARTITIONS = 31


def put_together(name, **more):
    """Write two files to each partition; return how many partitions a clustering put together."""
    options = {
        "hoodie.table.name": name,
        "hoodie.datasource.write.recordkey.field": "id",
        "hoodie.datasource.write.partitionpath.field": "part",
        "hoodie.datasource.write.operation": "bulk_insert",
        "hoodie.metadata.enable": "false",
    }
    for mode in ("overwrite", "append"):
        rows = spark.sql(f"SELECT uuid() AS id, CAST(id AS STRING) AS part FROM range(0, {PARTITIONS}, 1, 1)")
        rows.write.format("hudi").options(**options).mode(mode).save(f"{work}/{name}")
    given = ",".join(f"{key}={value}" for key, value in {"hoodie.metadata.enable": "false", **more}.items())
    selected = ",".join(str(part) for part in range(PARTITIONS))
    spark.sql(
        f"CALL run_clustering(path => '{work}/{name}', op => 'scheduleAndExecute', "
        f"options => '{given}', selected_partitions => '{selected}')"
    ).collect()
    files = [list(Path(work, name, str(part)).glob("*.parquet")) for part in range(PARTITIONS)]
    # What was replaced stays until it is cleaned: two files, and the one that they became.
    return sum(len(of_part) == 3 for of_part in files)


usual = put_together("usual")
more = put_together("more", **{"hoodie.clustering.plan.strategy.max.num.groups": "1000"})
print(f"asked for {PARTITIONS} partitions, put together {usual}; with a larger limit {more}")
assert (usual, more) == (30, 31)
PY
