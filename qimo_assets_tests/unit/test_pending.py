"""Pending work of the table services, as the stream's run tells it."""

from __future__ import annotations

from datetime import datetime, timezone

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from qimo_assets.lake.pending import (
    CHECK,
    LATE_SECONDS,
    SERVICES,
    Pending,
    judge,
)
from qimo_assets.lake.watch import TOLD_SECONDS, Watch

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("pending", "late"),
    [
        ({}, []),
        ({"chat_message": []}, []),
        ({"chat_message": [NOW - LATE_SECONDS]}, []),
        (
            {"chat_message": [NOW - 5, NOW - LATE_SECONDS - 1], "chat_sent_again": [NOW]},
            ["message"],
        ),
    ],
)
def test_work_that_was_planned_long_ago_is_named(pending: Pending, late: list[str]) -> None:
    result = judge(pending, NOW)
    assert result.passed is not bool(late)
    assert all(f"chat_{name}" in str(result.description) for name in late)


def test_work_that_keeps_failing_fails_the_check_and_its_age_is_told() -> None:
    now = NOW
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(instance, lambda at: judge({"chat_message": [NOW]}, at), clock=lambda: now)
        for _ in range(2 * LATE_SECONDS // 60):
            with freeze_time(datetime.fromtimestamp(now, timezone.utc)):
                watch.look()
            now += 60
        key = dg.AssetCheckKey(SERVICES, CHECK)
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        assert [row.evaluation.passed for row in history if row.evaluation] == [False, True]
        found = instance.fetch_observations(SERVICES, limit=100).records
    ages = [
        record.asset_observation.metadata["age of the oldest (s)"].value
        for record in found
        if record.asset_observation
    ]
    assert ages == list(range(0, 2 * LATE_SECONDS, TOLD_SECONDS))[::-1]
