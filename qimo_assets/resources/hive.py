"""HiveServer2 (here: the Spark Thrift server) as a Dagster resource: sessions that run statements and queries.

Knows connections, time-outs and errors; knows no table.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg
import thrift_sasl
from pydantic import Field
from pyhive import hive
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket

from qimo_assets.settings import HiveSettings

CONNECT_SECONDS = 10
# The server ends a query at its time-out; the socket waits a little longer, so that the server's own words arrive.
GRACE_SECONDS = 10

Row = dict[str, Any]


class HiveError(Exception):
    """HiveServer2 cannot be reached or refused a statement; the message says what to do."""


class HiveSession:
    """An open session."""

    def __init__(self, connection: hive.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        """Run a statement that returns no rows, such as DDL."""
        with _run(self._connection, sql, None):
            # PyHive raises TypeError when the result of DDL is fetched.
            pass

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Return the rows of a query.

        Args:
            sql: The query; with `params` its values stand as `%(name)s`, and a list of them as `IN %(names)s`.
            params: The values.
        """
        with _run(self._connection, sql, params) as cursor:
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class HiveResource(dg.ConfigurableResource):
    """Connects to HiveServer2 over binary Thrift with plain SASL."""

    host: str = Field(description="Host of HiveServer2.")
    port: int = Field(description="Port of HiveServer2.")
    username: str = Field(default="qimo", description="User name of the session.")
    timeout_seconds: int = Field(default=300, gt=0, description="Time-out of a query, in seconds.")

    @classmethod
    def from_settings(cls, settings: HiveSettings) -> HiveResource:
        """Return the resource that the settings describe."""
        return cls(**settings.model_dump())

    @contextmanager
    def session(self) -> Generator[HiveSession, None, None]:
        """Open a session and close it at the end.

        Raises:
            HiveError: The server cannot be reached, or a statement failed.
        """
        connection = self._connect()
        try:
            yield HiveSession(connection)
        finally:
            # After a time-out the transport is broken and the session cannot be closed any more; the first error is the one to tell.
            with suppress(TException, OSError, hive.Error):
                connection.close()

    def _connect(self) -> hive.Connection:
        socket = TSocket(self.host, self.port)
        socket.setTimeout(CONNECT_SECONDS * 1000)
        transport = thrift_sasl.TSaslClientTransport(self._sasl_client, "PLAIN", socket)
        try:
            # PyHive has no time-out of its own, hence a transport made here.
            connection = hive.Connection(username=self.username, thrift_transport=transport)
            socket.setTimeout((self.timeout_seconds + GRACE_SECONDS) * 1000)
            HiveSession(connection).execute(f"SET spark.sql.thriftServer.queryTimeout={self.timeout_seconds}")
        except (TException, OSError, hive.Error) as error:
            raise HiveError(
                f"HiveServer2 at {self.host}:{self.port} cannot be reached ({_reason(error)}). "
                "Check that it runs (./qimo status) and that QIMO_HIVE__HOST and QIMO_HIVE__PORT are right."
            ) from error
        return connection

    def _sasl_client(self) -> Any:
        # Without authentication the password does not matter, but it must not be empty.
        return hive.get_installed_sasl(host=self.host, sasl_auth="PLAIN", username=self.username, password="x")


@contextmanager
def _run(connection: hive.Connection, sql: str, params: Mapping[str, object] | None) -> Generator[hive.Cursor, None, None]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            yield cursor
    except (TException, OSError, hive.Error) as error:
        # PyHive's error carries the server's whole Java stack trace; the reason is all of it that helps.
        raise HiveError(f"HiveServer2 refused or lost a statement: {_reason(error)}\nThe statement was:\n{sql}") from None


def _reason(error: Exception) -> str:
    """Return the server's own message, without the Java stack trace that PyHive carries along."""
    status = getattr(error.args[0], "status", None) if error.args else None
    return (getattr(status, "errorMessage", None) or str(error) or type(error).__name__).strip()
