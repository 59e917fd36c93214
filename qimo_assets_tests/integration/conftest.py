"""What the integration tests ask of the running stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets_tests.conftest import Stack


@pytest.fixture(scope="session")
def ask_mysql(stack: Stack) -> Callable[[str], list[Any]]:
    """Run a query in the reporting database."""
    resource = MySQLResource.from_settings(stack.settings().mysql)

    def ask(query: str) -> list[Any]:
        with resource.connect() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return ask


@pytest.fixture(scope="session")
def ask_hive(stack: Stack) -> Callable[[str], list[Any]]:
    """Run a query through PyHive in a session of its own."""
    resource = HiveResource.from_settings(stack.settings().hive)

    def ask(query: str) -> list[Any]:
        with resource.session() as session:
            session.execute(f"USE {stack.settings().lake.database}")
            return [tuple(row.values()) for row in session.query(query)]

    return ask
