"""Questions to systems by their addresses, with a time-out each: what the embedded stack's health
and `doctor` share.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from qimo_assets.errors import RefusedError

# Of a page of an error the first words tell enough.
ERROR_BYTES = 300
NOT_FOUND = 404


class ProbeError(RefusedError):
    """The answer is not the right one; the message says what it is.

    Attributes:
        status: Status of an HTTP answer; None for another one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def metastore(host: str, port: int, seconds: float) -> None:
    """Ask a Hive metastore for the names of the databases, in its own protocol."""
    socket = TSocket(host, port)
    socket.setTimeout(seconds * 1000)
    transport = TBufferedTransport(socket)
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
            raise ProbeError("the metastore answered with an error")
    finally:
        transport.close()


def code_locations(webserver: str, seconds: float) -> None:
    """Ask a Dagster webserver whether every code location loaded."""
    data = graphql(
        webserver,
        "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { "
        "__typename } } } } }",
        seconds,
    )
    entries = data["workspaceOrError"]["locationEntries"]
    if not entries or any(
        entry["locationOrLoadError"]["__typename"] != "RepositoryLocation" for entry in entries
    ):
        raise ProbeError(
            "the code location did not load; see the page Deployment in the Dagster UI"
        )


def daemons(webserver: str, seconds: float) -> None:
    """Ask a Dagster webserver whether every daemon has a fresh heartbeat."""
    data = graphql(
        webserver,
        "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }",
        seconds,
    )
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [
        status["daemonType"] for status in statuses if status["required"] and not status["healthy"]
    ]
    if silent:
        raise ProbeError(f"no heartbeat from {', '.join(silent)}")


def report_page(
    url: str, seconds: float, headers: Mapping[str, str] | None = None, own_file: Path | None = None
) -> None:
    """Ask for the report.

    Args:
        url: Its address.
        seconds: Time-out.
        headers: What the server wants to see.
        own_file: PEM file of the server's own certificate, when it is not plain HTTP: this one and
            no other is taken, whatever name it has.
    """
    context = ssl.create_default_context(cafile=str(own_file)) if own_file else None
    if context:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if b"<title>" not in http(url, seconds, headers=headers, context=context):
        raise ProbeError("the answer is not the report's page")


def basic_authorization(username: str, password: str) -> dict[str, str]:
    """Return the header that gives a name and a password."""
    return {
        "Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
    }


def graphql(webserver: str, query: str, seconds: float) -> Any:
    """Return a Dagster webserver's answer."""
    answer = http(
        f"{webserver.rstrip('/')}/graphql",
        seconds,
        method="POST",
        body=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    return json.loads(answer)["data"]


def http(
    url: str,
    seconds: float,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> bytes:
    """Return the body of an answer.

    Raises:
        ProbeError: The status is not a good one.
    """
    request = urllib.request.Request(
        url,
        data=body,
        method=method,
        headers={"Content-Type": "application/octet-stream", **(headers or {})},
    )
    # Without the environment's proxies: the embedded stack is always on this machine, and a proxy
    # would answer for a system that is away.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    # WebHDFS sends the client on to the data node with a 307, which urllib follows for GET but not
    # for PUT.
    try:
        with opener.open(request, timeout=seconds) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 307 and error.headers.get("Location"):
            return http(error.headers["Location"], seconds, method, body, headers, context)
        raise ProbeError(
            f"HTTP {error.code}: {error.read(ERROR_BYTES).decode(errors='replace')}", error.code
        ) from None
