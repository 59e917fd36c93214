"""The Spark session of the streaming job, through dagster-pyspark."""

import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from py4j.clientserver import JavaClient
from pydantic import SecretStr
from pyspark.sql import SparkSession

from qimo_assets.contract import TIMEZONE
from qimo_assets.settings import KEPT_CALENDAR, LOOPBACK, REGIONS_VARIABLE, Settings

# It warns at each line that whatever reads Kafka for Python is not the thread that it asks for.
KAFKA_READER = "org.apache.spark.sql.kafka010.consumer.KafkaDataConsumer"
# What forks Python's workers.
WORKERS = "qimo_assets.lake.workers"
# What pyspark calls for each column and each frame.
SHORT_NAMES = ("functions", "PythonUtils", "SparkSession")


class SparkResource(LazyPySparkResource):
    """A session that starts a JVM only when it is first asked for, and that is given Hadoop's
    options afterwards.

    Properties stand on the JVM's command line and in Dagster's UI; Hadoop's options may hold keys
    and passwords and stand in neither.
    """

    hadoop_options: dg.ResourceDependency[dict[str, SecretStr]]

    def _init_session(self) -> None:
        if self._spark_session is not None:
            return
        super()._init_session()
        configuration = self.spark_context._jsc.hadoopConfiguration()
        for name, value in self.hadoop_options.items():
            configuration.set(name, value.get_secret_value())
        _forget_sources(self.spark_context._jvm, configuration)
        _silence(self.spark_context._jvm, KAFKA_READER)
        _remember(self.spark_context._jvm, SHORT_NAMES)


@contextmanager
def in_step(session: SparkSession) -> Generator[None, None, None]:
    """Keep calls of the JVM and their answers in step, whatever interrupts a call in the block.

    Dagster's interrupt leaves the answer to the call that it ends unread, and the thread's next
    call would take it for its own. py4j gives the connection up for a KeyboardInterrupt alone.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        jvm: Any = session._jvm
        client = jvm._gateway_client
        connection = client.get_thread_connection() if isinstance(client, JavaClient) else None
        if connection is not None:
            connection.close()
        raise


def _remember(jvm: Any, names: Iterable[str]) -> None:
    """Have py4j ask once what short names of Java stand for.

    It asks at each use, and the JVM looks for such a class in all jars, in each of eight packages:
    a tenth of the processor time of a small batch.
    """
    for name in names:
        setattr(jvm, name, getattr(jvm, name))


def _forget_sources(jvm: Any, configuration: Any) -> None:
    """Have Hadoop's configuration forget which file each property came from.

    Hudi sends copies of it along with each stage and task, and Hadoop compresses the name of each
    property's file by itself: an eighth of the processor time of a small batch.
    """
    # Each of the two brings files of its own, at which Hadoop reads all of them anew.
    java_class = jvm.java.lang.Class.forName
    java_class("org.apache.hadoop.hdfs.HdfsConfiguration")
    java_class("org.apache.hadoop.mapred.JobConf")
    configuration.size()
    hadoop = java_class("org.apache.hadoop.conf.Configuration")
    sources = hadoop.getDeclaredField("updatingResource")
    sources.setAccessible(True)
    sources.set(configuration, None)


def _silence(jvm: Any, logger: str) -> None:
    log4j = jvm.org.apache.logging.log4j
    log4j.core.config.Configurator.setLevel(logger, log4j.Level.ERROR)


def spark_properties(settings: Settings) -> dict[str, str]:
    """Return the Spark properties of the streaming driver; `settings.spark.conf` wins over each."""
    spark = settings.spark
    jars = os.pathsep.join(str(jar) for jar in spark.jars)
    scratch = {"spark.local.dir": str(spark.scratch_dir)} if spark.scratch_dir else {}
    # No record is longer than the topic takes; without these Avro asks for whatever memory a broken
    # record names, and the driver ends.
    longest = settings.kafka.max_message_bytes
    limits = (
        f"-Dorg.apache.avro.limits.bytes.maxLength={longest} "
        f"-Dorg.apache.avro.limits.string.maxLength={longest}"
    )
    # Spark makes methods of more than 8,000 bytes of wide rows, and the JVM compiles none of them
    # unless it is told to. Hudi names instants by the JVM's own time zone. A driver in another one
    # would name them as earlier than what is there: what it wrote would pass for reported, and
    # might never be read.
    options = f"-XX:-DontCompileHugeMethods -Duser.timezone={TIMEZONE} {limits}"
    # In the third minute over a third of the driver's time went into compiling what is called now
    # and then. With eight times the JVM's own thresholds it took 69 % of a processor at 1,000
    # lines/s instead of 117 %; with the first compiler alone 73 %.
    thresholds = {"Invocation": 5_000, "MinInvocation": 600, "Compile": 15_000, "BackEdge": 40_000}
    compiler = " ".join(
        f"-XX:Tier4{name}Threshold={8 * value}" for name, value in thresholds.items()
    )
    # The heap has its full size from the start: the collector makes it larger by little, and in 100
    # commits held everything up 870 times, for 16 s of 200; so it was 255 times, for 7 s. The
    # classes have theirs as well: five full collections of 30 came because their part of 21 MB was
    # full.
    heap = f"-XX:+UseSerialGC -Xms{spark.driver_memory} -XX:MetaspaceSize=256m"
    temporary = f" -Djava.io.tmpdir={spark.scratch_dir}" if spark.scratch_dir else ""
    # With a local master nothing outside the driver's process needs its ports; another one's
    # executors need them, and the jars.
    is_local = spark.master.startswith("local")
    where = (
        {
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.python.daemon.module": WORKERS,
            f"spark.executorEnv.{REGIONS_VARIABLE}": str(settings.lake.ip2region_jar),
        }
        if is_local
        else {"spark.jars": ",".join(str(jar) for jar in spark.jars)}
    )
    return {
        "spark.master": spark.master,
        "spark.driver.memory": spark.driver_memory,
        "spark.driver.extraClassPath": jars,
        "spark.driver.extraJavaOptions": f"-Dfile.encoding=UTF-8 {heap} "
        f"-XX:-UsePerfData {compiler} {options}" + temporary,
        "spark.executor.extraJavaOptions": options,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Table services work beside the batches; one after the other, a batch would wait for all
        # of one.
        "spark.scheduler.mode": "FAIR",
        # A file is closed when the name node has heard of its last block. Where it has not, the
        # client asks again after 400 ms by default, which made up a quarter of a small batch (twice
        # a batch, of 3 s). Each wait is twice as long as the last, so ten come to 10 s, where the
        # default's five come to 12.
        "spark.hadoop.dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
        "spark.hadoop.dfs.client.block.write.locateFollowingBlock.retries": "10",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryo.registrator": "org.apache.spark.HoodieSparkKryoRegistrar",
        "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
        "spark.sql.session.timeZone": TIMEZONE,
        "spark.sql.shuffle.partitions": "4",
        **KEPT_CALENDAR,
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Each task has a worker, and there are as many tasks as slots.
        "spark.executorEnv.POLARS_MAX_THREADS": "1",
        # A batch is kept for the few seconds in which it is written; compressing it took a tenth of
        # the driver's time.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.sql.streaming.minBatchesToRetain": "100",
        # A micro-batch is reported by the run itself; the listener bus need not keep months of
        # them.
        "spark.sql.streaming.numRecentProgressUpdates": "20",
        "spark.ui.retainedJobs": "20",
        "spark.ui.retainedStages": "20",
        "spark.sql.ui.retainedExecutions": "5",
        **scratch,
        **where,
        **spark.conf,
    }


def spark_resource(settings: Settings) -> SparkResource:
    """Return the resource that the settings describe."""
    if settings.spark.java_home:
        os.environ["JAVA_HOME"] = str(settings.spark.java_home)
    # The workers take whatever python3 is first on PATH unless they are told; they need this one's
    # numpy.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # glibc would give each thread of the JVM an arena, which keeps what it once held: 180 MiB.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    return SparkResource(
        spark_config=spark_properties(settings), hadoop_options=settings.lake.hadoop_options
    )
