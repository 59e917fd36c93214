#!/bin/sh
# Question: may an op that Dagster interrupts in a call of Spark's JVM tidy up through the same JVM?
# Versions: Dagster 1.13.27, PySpark 3.5.7 (py4j 0.10.9.7), Python 3.11.
# Behaviour: Dagster's interrupt is a BaseException of its own. py4j closes the connection of a call
#   that a KeyboardInterrupt or an Exception ends, and of no other. So the answer to the interrupted
#   call stays unread, and each later call of the thread returns the answer to the one before it.
# Seen: KeyboardInterrupt: max(1, 2) is 2; Dagster's interrupt: max(1, 2) is None, then max(3, 4) is 2
# So: close the thread's connection before you tidy up.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dagster==1.13.27 pyspark==3.5.7 setuptools==80.9.0
DAGSTER_DISABLE_TELEMETRY=1 "$work/venv/bin/python" - <<'PY'
import os
import signal
import threading

import dagster as dg
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
# Looked up before: each look-up is a call as well.
sleep, maximum = spark._jvm.java.lang.Thread.sleep, spark._jvm.java.lang.Math.max
seen = []


def interrupted_soon():
    """Send this process the signal that ends a run."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()


def tidied_up():
    """Be interrupted in a call of two seconds, and ask for two numbers on the way out."""
    interrupted_soon()
    try:
        sleep(2000)
    finally:
        seen.append((maximum(1, 2), maximum(3, 4)))


@dg.op
def tidy():
    tidied_up()


@dg.job
def once():
    tidy()


signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    tidied_up()
except KeyboardInterrupt:
    pass
try:
    once.execute_in_process(raise_on_error=False)
except BaseException as error:
    print(type(error).__name__)
# The session cannot be stopped from this thread any more; the JVM ends with this process.
print(
    "KeyboardInterrupt: max(1, 2) is {}; Dagster's interrupt: max(1, 2) is {}, then max(3, 4) is {}".format(
        seen[0][0], *seen[1]
    )
)
assert seen == [(2, 4), (None, 2)], seen
PY
