"""The one service that the tests of publication and of its readers need, as the embedded stack runs
it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from mysql.connector import connect
from mysql.connector.abstracts import MySQLConnectionAbstract
from pydantic import SecretStr

from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import LOOPBACK
from qimo_assets.stack import control, install
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.profiles import USUAL_PORTS
from qimo_assets_tests.conftest import TEST_PORT_OFFSET, own_layout

# Beside the stack of the other tests; the other services are not started, their ports are only
# named.
PORT_OFFSET = TEST_PORT_OFFSET + 1150
# Each worker that runs some of these tests has a server of its own.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@dataclass(frozen=True)
class Server:
    """The embedded stack's MariaDB, alone, with the accounts that the stack gives it."""

    layout: Layout

    def resource(
        self, account: str, database: str = "qimo_report", password: str | None = None
    ) -> MySQLResource:
        """Return a resource for one of the stack's accounts, or for another one by its password."""
        secret = SecretStr(password or self.layout.secret(f"mysql_{account.rpartition('_')[2]}"))
        return MySQLResource(
            host=LOOPBACK,
            port=self.layout.ports["mysql"],
            username=account,
            password=secret,
            database=database,
            timeout_seconds=5,
        )

    def as_root(self, *statements: str) -> list[Any]:
        """Run statements as root through the socket, and return the rows of the last one."""
        root = connect(
            unix_socket=str(self.layout.run / "mysql.sock"),
            user="root",
            password=self.layout.secret("mysql_root"),
        )
        with closing(root), closing(root.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop it."""
        control.stop(self.layout, print, only={"mysql"})

    def start(self) -> None:
        """Start it, or wait until it is back."""
        control.start(self.layout, print, only={"mysql"})


@pytest.fixture(scope="session")
def server(software: None) -> Iterator[Server]:
    """A MariaDB with empty data in a home of its own."""
    with own_layout(
        {name: port + PORT_OFFSET + WORKER for name, port in USUAL_PORTS.items()}
    ) as layout:
        install.format_data(layout, {"mysql"})
        server = Server(layout)
        server.start()
        yield server


@pytest.fixture(scope="session")
def mysql(server: Server) -> Iterator[MySQLResource]:
    """An empty database and an account of its own."""
    name, password = "contract", "not to be told"  # pragma: allowlist secret  # made up for a test
    server.as_root(
        f"CREATE DATABASE {name}",
        f"CREATE USER {name} IDENTIFIED BY '{password}'",
        f"GRANT ALL ON {name}.* TO {name}",
    )
    yield server.resource(name, name, password)
    server.as_root(f"DROP DATABASE {name}", f"DROP USER {name}")


@pytest.fixture
def connection(mysql: MySQLResource) -> Iterator[MySQLConnectionAbstract]:
    """A connection to a database without tables, which is left without tables."""
    with mysql.connect() as connection:
        _drop_tables(connection)
        yield connection
    # A new one: the test may have cost the first its server.
    with mysql.connect() as another:
        _drop_tables(another)


def _drop_tables(connection: MySQLConnectionAbstract) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, table_type FROM information_schema.tables WHERE "
            "table_schema = DATABASE()"
        )
        for name, kind in cursor.fetchall():
            cursor.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} IF EXISTS `{name}`")
