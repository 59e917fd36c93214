"""Checks that sensors evaluate: which of them have to be heard, and what of their results is news.

Dagster shows an evaluation while it is of the run of its asset's newest materialization, or younger
than it; two events without a run count as of one. What is heard is read from Dagster's own records,
nothing is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, cast

import dagster as dg
from dagster._core.loader import LoadingContext
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionResolvedStatus,
)
from dagster._utils.aiodataloader import BlockingDataLoader, DataLoader

# An outcome that stays is told again after so long: a guard that is not heard may be asleep.
REPORT_TTL_SECONDS = 3600
# The metadata of a check that says who evaluates it, and how often.
EVALUATED = "evaluated"

_Status = AssetCheckExecutionResolvedStatus


def evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Return a result as the event that a sensor reports; it names its asset and its check."""
    return dg.AssetCheckEvaluation(
        asset_key=cast("dg.AssetKey", result.asset_key),
        check_name=cast("str", result.check_name),
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


def unheard(
    instance: dg.DagsterInstance,
    keys: Collection[dg.AssetCheckKey],
    now: float,
    renewed: Collection[dg.AssetKey] = (),
) -> set[dg.AssetCheckKey]:
    """Return the checks that have to be heard: evaluated never or long ago, given up, or not shown
    any more. One that is being evaluated is none of them.

    Args:
        instance: Holds what was heard.
        keys: The checks.
        now: Seconds since the epoch.
        renewed: Assets that are about to be materialized without a run.
    """
    return asyncio.run(_unheard(_Loading(instance), list(keys), now, renewed))


def news(
    instance: dg.DagsterInstance,
    results: Sequence[dg.AssetCheckResult],
    now: float,
    renewed: Collection[dg.AssetKey] = (),
) -> list[dg.AssetCheckEvaluation]:
    """Return the results that differ from what was heard last, or have to be heard.

    Args:
        instance: Holds what was heard.
        results: What was found now.
        now: Seconds since the epoch.
        renewed: Assets that are about to be materialized without a run.
    """
    found = {told.asset_check_key: told for told in map(evaluation, results)}
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(found))
    silent = unheard(instance, found, now, renewed)
    return [
        told
        for key, told in found.items()
        if key in silent or (key in last and _differs(told, last[key].evaluation))
    ]


def _differs(now: dg.AssetCheckEvaluation, before: object) -> bool:
    # Planned: its run tells the outcome.
    if not isinstance(before, dg.AssetCheckEvaluation):
        return False
    return now.passed != before.passed or (not now.passed and now.severity != before.severity)


async def _unheard(
    loading: LoadingContext,
    keys: list[dg.AssetCheckKey],
    now: float,
    renewed: Collection[dg.AssetKey],
) -> set[dg.AssetCheckKey]:
    records = await AssetCheckExecutionRecord.gen_many(loading, keys)
    return {
        key
        for key, record in zip(keys, records, strict=True)
        if record is None or not await _is_heard(loading, record, now, key.asset_key in renewed)
    }


async def _is_heard(
    loading: LoadingContext, record: AssetCheckExecutionRecord, now: float, renewed: bool
) -> bool:
    status = await record.resolve_status(loading)
    if status is _Status.IN_PROGRESS:
        return True
    if status not in (_Status.SUCCEEDED, _Status.FAILED) or (renewed and record.run_id):
        return False
    told_at = record.event.timestamp if record.event else 0
    return now - told_at < REPORT_TTL_SECONDS and await record.targets_latest_materialization(
        loading
    )


class _Loading(LoadingContext):
    """Loads Dagster's records, each once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[type, tuple[DataLoader[Any, Any], BlockingDataLoader[Any, Any]]] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, tuple[DataLoader[Any, Any], BlockingDataLoader[Any, Any]]]:
        return self._loaders
