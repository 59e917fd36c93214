"""One real question to each service; a probe returns when the answer is right and raises when not.
Every probe ends within seconds.
"""

from __future__ import annotations

import getpass
import json
import logging
import time
from contextlib import closing
from typing import Any

import grpc
from confluent_kafka.admin import AdminClient
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from mysql.connector import connect as connect_mysql
from pyhive import hive as pyhive

from qimo_assets import probes
from qimo_assets.clients import hive_transport, librdkafka_options, mysql_tls
from qimo_assets.settings import LOOPBACK, HiveSettings, KafkaSettings
from qimo_assets.stack.certificates import authority, own_certificate
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import Layout

# A probe that is not answered is told by its result; the client's own log lines would only repeat
# it.
logging.getLogger("thrift").setLevel(logging.CRITICAL)
logging.getLogger("pyhive").setLevel(logging.CRITICAL)

TIMEOUT_SECONDS = 5
# The first query of a server loads the classes of all that it does.
QUERY_SECONDS = 30
# TAILDIR rewrites its position file every 3 s (writePosInterval); five misses mean that the source
# stands still.
POSITIONS_MAX_AGE_SECONDS = 15
# A data node reports to the name node each second (dfs.heartbeat.interval).
HEARTBEAT_MAX_AGE_SECONDS = 15
# The keeper of the links looks twice a second.
LINKS_MAX_AGE_SECONDS = 10


def kafka(layout: Layout, broker: str) -> None:
    """Ask a broker for the list of topics and of brokers, on which it stands itself once it may
    lead partitions.
    """
    listed = AdminClient(kafka_client(layout, broker)).list_topics(timeout=TIMEOUT_SECONDS)
    if layout.profile.brokers.index(broker) + 1 not in listed.brokers:
        raise StackError("it is not among the brokers yet")


def namenode(layout: Layout) -> None:
    """Ask for the status of the root directory; safe mode ends only when the data node has
    reported, whose probe sees that.
    """
    probes.http(
        f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1/?op=GETFILESTATUS",
        TIMEOUT_SECONDS,
    )


def datanode(layout: Layout) -> None:
    """Write a small file through the data node and read it back."""
    content = str(time.time_ns()).encode()
    url = f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1/tmp/qimo-health?user.name={getpass.getuser()}"
    probes.http(f"{url}&op=CREATE&overwrite=true", TIMEOUT_SECONDS, method="PUT", body=content)
    if probes.http(f"{url}&op=OPEN", TIMEOUT_SECONDS) != content:
        raise StackError("read back something else than was written")


def one_of_the_datanodes(layout: Layout, node: str) -> None:
    """Ask a data node whether it reports to the name node; what is written anywhere would tell
    nothing of this one.
    """
    beans = _json(
        f"http://{layout.address(node, 'http')}/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo"
    )["beans"]
    actors = [actor for bean in beans for actor in json.loads(bean["BPServiceActorInfo"])]
    if not any(
        actor["ActorState"] == "RUNNING" and int(actor["LastHeartbeat"]) < HEARTBEAT_MAX_AGE_SECONDS
        for actor in actors
    ):
        raise StackError("it does not report to the name node")


def spark_master(layout: Layout) -> None:
    """Ask the master for its state, which is another one while it looks for the workers and drivers
    of the time before its start.
    """
    state = _json(f"http://{layout.address('spark-master', 'http')}/json/")["status"]
    if state != "ALIVE":
        raise StackError(f"the master is {state}")


def spark_worker(layout: Layout, worker: str) -> None:
    """Ask a worker for the master that took it."""
    if not _json(f"http://{layout.address(worker, 'http')}/json/")["masterurl"]:
        raise StackError("the worker has no master")


def resourcemanager(layout: Layout) -> None:
    """Ask the resource manager for its state."""
    state = _json(f"http://{layout.address('resourcemanager', 'http')}/ws/v1/cluster/info")[
        "clusterInfo"
    ]["state"]
    if state != "STARTED":
        raise StackError(f"the resource manager is {state}")


def nodemanager(layout: Layout, node: str) -> None:
    """Ask a node manager whether its directories are usable, and the resource manager whether it
    gives containers to all of them.
    """
    if not _json(f"http://{layout.address(node, 'http')}/ws/v1/node/info")["nodeInfo"][
        "nodeHealthy"
    ]:
        raise StackError("the node manager does not find itself healthy")
    active = _json(f"http://{layout.address('resourcemanager', 'http')}/ws/v1/cluster/metrics")[
        "clusterMetrics"
    ]["activeNodes"]
    if active < len(layout.profile.node_managers):
        raise StackError(f"the resource manager has {active} nodes")


def metastore(layout: Layout) -> None:
    """Ask for the names of the databases."""
    probes.metastore(LOOPBACK, layout.ports["metastore"], TIMEOUT_SECONDS)


def hive(layout: Layout) -> None:
    """Run a query that needs the metastore as well."""
    server = HiveSettings(host=LOOPBACK, port=layout.ports["hive"])
    transport, _ = hive_transport(server, QUERY_SECONDS)
    with (
        closing(
            pyhive.Connection(username=server.username, thrift_transport=transport)
        ) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute("SHOW DATABASES")
        cursor.fetchall()


def mysql(layout: Layout) -> None:
    """Run a query with Dagster's account."""
    with mysql_connection(layout, "dagster") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()


def links(layout: Layout) -> None:
    """See that the log directory is still looked at, which shows in the time of the directory of
    links.
    """
    directory = layout.data / "flume" / "links"
    age = time.time() - directory.stat().st_mtime if directory.exists() else float("inf")
    if age > LINKS_MAX_AGE_SECONDS:
        raise StackError(f"nobody has looked for new log files for {age:.0f} s")


def flume(layout: Layout) -> None:
    """See that the agent still writes down its positions, which it does as long as its
    source runs.
    """
    positions = layout.data / "flume" / "positions.json"
    if not any(layout.chat.iterdir()):
        return
    age = time.time() - positions.stat().st_mtime if positions.exists() else float("inf")
    if age > POSITIONS_MAX_AGE_SECONDS:
        raise StackError(f"the agent has not written its positions for {age:.0f} s")


def dagster_code(layout: Layout) -> None:
    """Ask for the health of the code server, in gRPC's own protocol."""
    with grpc.insecure_channel(f"{LOOPBACK}:{layout.ports['dagster_code']}") as channel:
        # grpcio writes its stub's methods at run time.
        answer = HealthStub(channel).Check(  # pyright: ignore[reportAttributeAccessIssue]
            HealthCheckRequest(service="DagsterApi"), timeout=TIMEOUT_SECONDS
        )
    if answer.status != HealthCheckResponse.SERVING:
        raise StackError("the code server does not serve")


def dagster_webserver(layout: Layout) -> None:
    """Ask for a code location that loaded."""
    probes.code_locations(_webserver(layout), TIMEOUT_SECONDS)


def dagster_daemon(layout: Layout) -> None:
    """Ask the webserver whether every daemon has a fresh heartbeat."""
    probes.daemons(_webserver(layout), TIMEOUT_SECONDS)


def report(layout: Layout) -> None:
    """Ask for the page."""
    probes.report_page(f"http://{LOOPBACK}:{layout.ports['report']}/", TIMEOUT_SECONDS)


def mysql_connection(layout: Layout, account: str) -> Any:
    """Connect to the embedded MariaDB with one of its accounts and that account's own database."""
    return connect_mysql(
        host=LOOPBACK,
        port=layout.ports["mysql"],
        user=account,
        password=layout.secret(f"mysql_{account.rpartition('_')[2]}"),
        connection_timeout=TIMEOUT_SECONDS,
        **mysql_tls(authority(layout).ca if layout.profile.secured else None),
    )


def kafka_client(layout: Layout, broker: str) -> dict[str, Any]:
    """Return how the stack itself reaches a broker, as librdkafka takes it: where clients need a
    password, with a certificate of its own.
    """
    if not layout.profile.secured:
        return librdkafka_options(KafkaSettings(bootstrap=layout.address(broker)))
    by_tls = KafkaSettings(
        bootstrap=layout.address(broker, "internal"),
        security_protocol="SSL",
        ca_file=authority(layout).ca,
        client_file=own_certificate(layout),
    )
    return librdkafka_options(by_tls)


def _json(url: str) -> Any:
    return json.loads(probes.http(url, TIMEOUT_SECONDS))


def _webserver(layout: Layout) -> str:
    return f"http://{LOOPBACK}:{layout.ports['dagster']}"
