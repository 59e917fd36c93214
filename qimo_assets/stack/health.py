"""One real question to each service; a probe returns when the answer is right and raises when not. Every probe ends within seconds."""

from __future__ import annotations

import getpass
import json
import logging
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import grpc
from confluent_kafka.admin import AdminClient
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from mysql.connector import connect as connect_mysql
from pyhive import hive as pyhive
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from qimo_assets.settings import LOOPBACK
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import Layout

# A probe that is not answered is told by its result; the client's own log lines would only repeat it.
logging.getLogger("thrift").setLevel(logging.CRITICAL)
logging.getLogger("pyhive").setLevel(logging.CRITICAL)

TIMEOUT_SECONDS = 5
# TAILDIR rewrites its position file every 3 s (writePosInterval); five misses mean that the source stands still.
POSITIONS_MAX_AGE_SECONDS = 15
# The keeper of the links looks twice a second.
LINKS_MAX_AGE_SECONDS = 10


def kafka(layout: Layout) -> None:
    """Ask for the list of topics."""
    AdminClient({"bootstrap.servers": f"{LOOPBACK}:{layout.ports['kafka']}", "log_level": 0}).list_topics(timeout=TIMEOUT_SECONDS)


def namenode(layout: Layout) -> None:
    """Ask for the status of the root directory; safe mode ends only when the data node has reported, whose probe sees that."""
    _http(f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1/?op=GETFILESTATUS")


def datanode(layout: Layout) -> None:
    """Write a small file through the data node and read it back."""
    content = str(time.time_ns()).encode()
    url = f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1/tmp/qimo-health?user.name={getpass.getuser()}"
    _http(f"{url}&op=CREATE&overwrite=true", method="PUT", body=content)
    if _http(f"{url}&op=OPEN") != content:
        raise StackError("read back something else than was written")


def metastore(layout: Layout) -> None:
    """Ask for the names of the databases, in the metastore's own protocol."""
    transport = TBufferedTransport(_socket(layout.ports["metastore"]))
    transport.open()
    try:
        protocol = TBinaryProtocol(transport)
        protocol.writeMessageBegin("get_all_databases", TMessageType.CALL, 1)
        protocol.writeStructBegin("args")
        protocol.writeFieldStop()
        protocol.writeStructEnd()
        protocol.writeMessageEnd()
        transport.flush()
        _, kind, _ = protocol.readMessageBegin()
        if kind != TMessageType.REPLY:
            raise StackError("the metastore answered with an error")
    finally:
        transport.close()


def hive(layout: Layout) -> None:
    """Run a query that needs the metastore as well."""
    with socket.create_connection((LOOPBACK, layout.ports["hive"]), timeout=TIMEOUT_SECONDS):
        pass
    connection = pyhive.connect(LOOPBACK, layout.ports["hive"], username="qimo")
    try:
        cursor = connection.cursor()
        cursor.execute("SHOW DATABASES")
        cursor.fetchall()
    finally:
        connection.close()


def mysql(layout: Layout) -> None:
    """Run a query with Dagster's account."""
    with mysql_connection(layout, "dagster") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        cursor.fetchall()


def links(layout: Layout) -> None:
    """See that the log directory is still looked at, which shows in the time of the directory of links."""
    directory = layout.data / "flume" / "links"
    age = time.time() - directory.stat().st_mtime if directory.exists() else float("inf")
    if age > LINKS_MAX_AGE_SECONDS:
        raise StackError(f"nobody has looked for new log files for {age:.0f} s")


def flume(layout: Layout) -> None:
    """See that the agent still writes down its positions, which it does as long as its source runs."""
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
    """Ask for the server's version and for a code location that loaded."""
    data = _graphql(layout, "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }")
    entries = data["workspaceOrError"]["locationEntries"]
    if not entries or any(entry["locationOrLoadError"]["__typename"] != "RepositoryLocation" for entry in entries):
        raise StackError("the code location did not load; see the page Deployment in the Dagster UI")


def dagster_daemon(layout: Layout) -> None:
    """Ask the webserver whether every daemon has a fresh heartbeat."""
    data = _graphql(layout, "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }")
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [status["daemonType"] for status in statuses if status["required"] and not status["healthy"]]
    if silent:
        raise StackError(f"no heartbeat from {', '.join(silent)}")


def report(layout: Layout) -> None:
    """Ask for the page."""
    if b"<title>" not in _http(f"http://{LOOPBACK}:{layout.ports['report']}/"):
        raise StackError("the answer is not the report's page")


def mysql_connection(layout: Layout, account: str) -> Any:
    """Connect to the embedded MariaDB with one of its accounts and that account's own database."""
    return connect_mysql(
        host=LOOPBACK,
        port=layout.ports["mysql"],
        user=account,
        password=layout.secret(f"mysql_{account.rpartition('_')[2]}"),
        connection_timeout=TIMEOUT_SECONDS,
    )


def _graphql(layout: Layout, query: str) -> Any:
    url = f"http://{LOOPBACK}:{layout.ports['dagster']}/graphql"
    answer = _http(url, method="POST", body=json.dumps({"query": query}).encode(), content_type="application/json")
    return json.loads(answer)["data"]


def _http(url: str, method: str = "GET", body: bytes | None = None, content_type: str = "application/octet-stream") -> bytes:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": content_type})
    # WebHDFS sends the client on to the data node with a 307, which urllib follows for GET but not for PUT.
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 307 and error.headers.get("Location"):
            return _http(error.headers["Location"], method, body, content_type)
        raise StackError(f"HTTP {error.code}: {error.read(300).decode(errors='replace')}") from None


# Without the environment's proxies: what is asked here is always on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _socket(port: int) -> TSocket:
    transport = TSocket(LOOPBACK, port)
    transport.setTimeout(TIMEOUT_SECONDS * 1000)
    return transport
