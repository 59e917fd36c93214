"""What the integration tests ask of the running stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.integration.lakes import Lake, WarmDriver


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


@pytest.fixture(scope="session")
def warm_driver(systems: Stack) -> Iterator[WarmDriver]:
    """A driver for the runs of all lakes that nothing kills."""
    driver = WarmDriver(systems.layout().log)
    yield driver
    driver.end()


@pytest.fixture
def lake(systems: Stack, warm_driver: WarmDriver) -> Lake:
    """A new lake, and its topic."""
    lake = Lake(systems, f"lake_{uuid4().hex[:8]}", warm_driver)
    lake.kafka.ensure_topic()
    return lake


@pytest.fixture(scope="session")
def stack(stack: Stack, warm_driver: WarmDriver) -> Stack:
    """The whole stack; the lakes of the tests' own come before it, so that their driver ends."""
    warm_driver.end()
    return stack
