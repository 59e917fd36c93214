"""Runs of metrics take turns by locks of a real MySQL or MariaDB."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from qimo_assets.metrics.turns import turn
from qimo_assets.resources.mysql import MySQLResource

DAY, NEXT, LAST = "2021-11-07", "2021-11-08", "2021-11-09"
SHORT = 0.2


@pytest.fixture
def first(mysql: MySQLResource) -> Iterator[None]:
    """A run that counts two days."""
    with turn(mysql, "lake", [NEXT, DAY]):
        yield


def said(
    mysql: MySQLResource, database: str, days: list[str], log: pytest.LogCaptureFixture
) -> str:
    """Have a second run come, and return what it says of its wait."""
    log.clear()
    with log.at_level(logging.INFO), turn(mysql, database, days, SHORT):
        return log.text


def test_who_waits_too_long_for_a_day_goes_on(
    mysql: MySQLResource, first: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert f"still counts {DAY};" in said(mysql, "lake", [LAST, DAY], caplog)


def test_other_days_and_other_lakes_are_not_waited_for(
    mysql: MySQLResource, first: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(mysql, "lake", [LAST], caplog) == ""
    assert said(mysql, "other", [DAY], caplog) == ""


def test_a_run_that_has_ended_is_not_waited_for(
    mysql: MySQLResource, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert said(mysql, "lake", [DAY], caplog) == ""
