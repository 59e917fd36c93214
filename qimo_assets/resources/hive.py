"""HiveServer2 (here: the Spark Thrift server) as a Dagster resource: sessions that run statements
and queries.

Knows connections, time-outs and errors; knows no table.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg
from pydantic import Field
from pyhive import hive
from thrift.Thrift import TException

from qimo_assets.clients import hive_transport
from qimo_assets.errors import QimoError, RefusedError, UnreachableError
from qimo_assets.settings import HiveSettings

CONNECT_SECONDS = 10
# The server ends a query at its time-out; the socket waits a little longer, so that the server's
# own words arrive.
GRACE_SECONDS = 10

Row = dict[str, Any]


class HiveError(QimoError):
    """HiveServer2 did not do what it was asked; the message says what to do."""


class HiveUnreachable(HiveError, UnreachableError):
    """HiveServer2 cannot be reached, or the connection broke."""


class HiveRefused(HiveError, RefusedError):
    """HiveServer2 refused a statement, or broke it off at its time-out."""


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
            sql: The query; with `params` its values stand as `%(name)s`, and a list of them as `IN
                %(names)s`.
            params: The values.
        """
        with _run(self._connection, sql, params) as cursor:
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class HiveResource(dg.ConfigurableResource[Any]):
    """Connects to HiveServer2 over binary Thrift."""

    host: str = Field(description="Host of HiveServer2.")
    port: int = Field(description="Port of HiveServer2.")
    auth: str = Field(description="How the server authenticates.")
    username: str = Field(description="User name of the session.")
    timeout_seconds: int = Field(description="Time-out of a query, in seconds.")
    # A dependency is no configuration: neither Dagster's UI nor its storage ever gets to see the
    # password in it.
    settings: dg.ResourceDependency[HiveSettings]

    @classmethod
    def from_settings(cls, settings: HiveSettings) -> "HiveResource":
        """Return the resource that the settings describe."""
        return cls(
            settings=settings,
            **{name: value for name, value in settings if name in cls.model_fields},
        )

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
            # After a time-out the transport is broken and the session cannot be closed any more;
            # the first error is the one to tell.
            with suppress(TException, OSError, hive.Error):
                connection.close()

    def _connect(self) -> hive.Connection:
        try:
            transport, socket = hive_transport(self.settings, CONNECT_SECONDS)
            connection = hive.Connection(username=self.username, thrift_transport=transport)
            socket.setTimeout((self.timeout_seconds + GRACE_SECONDS) * 1000)
            HiveSession(connection).execute(
                f"SET spark.sql.thriftServer.queryTimeout={self.timeout_seconds}"
            )
        except (TException, OSError, hive.Error) as error:
            raise HiveUnreachable(
                f"HiveServer2 at {self.host}:{self.port} cannot be reached ({_reason(error)}). "
                "Check that it runs (./qimo status) and that the settings QIMO_HIVE__* are right."
            ) from error
        return connection


@contextmanager
def _run(
    connection: hive.Connection, sql: str, params: Mapping[str, object] | None
) -> Generator[hive.Cursor, None, None]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            yield cursor
    except hive.Error as error:
        # PyHive's error carries the server's whole Java stack trace; the reason is all of it that
        # helps.
        raise HiveRefused(
            f"HiveServer2 refused a statement: {_reason(error)}\nThe statement was:\n{sql}"
        ) from None
    except (TException, OSError) as error:
        raise HiveUnreachable(
            f"HiveServer2 lost a statement: {_reason(error)}\nThe statement was:\n{sql}"
        ) from None


def _reason(error: Exception) -> str:
    """Return the server's own message, without the Java stack trace that PyHive carries along."""
    status = getattr(error.args[0], "status", None) if error.args else None
    return (getattr(status, "errorMessage", None) or str(error) or type(error).__name__).strip()
