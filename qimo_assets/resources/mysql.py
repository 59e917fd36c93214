"""MySQL (or MariaDB) as a Dagster resource: connections to the reporting database.

Knows connections, time-outs and errors; knows no table.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import mysql.connector
from mysql.connector.abstracts import MySQLConnectionAbstract
from pydantic import Field, SecretStr

from qimo_assets.clients import mysql_arguments
from qimo_assets.errors import UnreachableError
from qimo_assets.settings import MySQLSettings

STATEMENT_SECONDS = 120


class MySQLError(UnreachableError):
    """MySQL cannot be reached; the message says what to do."""


class MySQLResource(dg.ConfigurableResource[Any]):
    """Connects to the reporting database."""

    host: str = Field(description="Host of MySQL.")
    port: int = Field(default=3306, description="Port of MySQL.")
    database: str = Field(default="qimo_report", description="Database of the metric tables.")
    username: str = Field(
        default="qimo_publisher", description="Account that publishes the metrics."
    )
    # A dependency is no configuration: neither Dagster's UI nor its storage ever gets to see it.
    password: dg.ResourceDependency[SecretStr]
    timeout_seconds: int = Field(
        default=10, gt=0, description="Time-out of a connection and of a lock, in seconds."
    )
    ca_file: str | None = Field(
        default=None,
        description="CAs of the server's certificate, in a PEM file; "
        "with it the connection has to be TLS.",
    )
    mask_accounts: bool = Field(
        default=False, description="Whether accounts are published with their middle hidden."
    )

    @classmethod
    def from_settings(cls, settings: MySQLSettings) -> "MySQLResource":
        """Return the resource that the settings describe."""
        return cls(**dict(settings, ca_file=settings.ca_file and str(settings.ca_file)))

    @contextmanager
    def connect(self) -> Generator[MySQLConnectionAbstract, None, None]:
        """Open a connection in utf8mb4 without autocommit, and close it at the end; what is not
        committed is lost.

        Raises:
            MySQLError: The server cannot be reached or refuses the account.
        """
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    def _connect(self) -> MySQLConnectionAbstract:
        seconds = int(self.timeout_seconds)
        try:
            return mysql.connector.MySQLConnection(
                **mysql_arguments(MySQLSettings.model_construct(**dict(self))),
                # Strict on every server, and backslashes escape, which the driver's quoting rests
                # on.
                sql_mode="TRADITIONAL",
                autocommit=False,
                read_timeout=seconds + STATEMENT_SECONDS,
                write_timeout=seconds + STATEMENT_SECONDS,
                init_command=f"SET SESSION innodb_lock_wait_timeout = {seconds}, "
                f"lock_wait_timeout = {seconds}",
            )
        except (mysql.connector.Error, OSError) as error:
            raise MySQLError(
                f"MySQL at {self.host}:{self.port} cannot be used by {self.username} on "
                f"database {self.database} ({error}). "
                "Check that it runs (./qimo status) and that the settings QIMO_MYSQL__* are right."
            ) from error
