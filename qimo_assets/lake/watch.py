"""Checks that the stream's run evaluates by itself, each on an asset of its own.

Not on the tables' assets: the stream reports those each few seconds, and each report would hide
what was found. Nobody materializes these; the run tells of them without days or runs.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS, news
from qimo_assets.lake.background import repeated

POLL_SECONDS = 60
# Figures that move are told so often.
TOLD_SECONDS = 600
# How long a stopped run waits for a look; it asks the timeline of each table.
PATIENCE_SECONDS = 5


@dataclass
class Watch:
    """Tells Dagster the outcome of one check.

    Attributes:
        instance: Where it is told.
        judge: Finds the outcome at a time, in seconds since the epoch.
        clock: Seconds since the epoch.
    """

    instance: dg.DagsterInstance
    judge: Callable[[float], dg.AssetCheckResult]
    clock: Callable[[], float] = time.time
    _told_at: float = field(default=0, init=False)

    def look(self) -> None:
        """Evaluate the check, and tell what is news."""
        now = self.clock()
        result = self.judge(now)
        events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = [
            *news(self.instance, [result], now)
        ]
        if now - self._told_at >= TOLD_SECONDS and result.asset_key:
            events.append(dg.AssetObservation(result.asset_key, metadata=result.metadata))
            self._told_at = now
        for event in events:
            self.instance.report_runless_asset_event(event)


@contextmanager
def watching(watches: Sequence[Watch]) -> Generator[None, None, None]:
    """Look at each minute, in a thread of its own, until the block ends.

    Args:
        watches: What is looked at, one after the other.
    """
    with repeated(
        lambda: [watch.look() for watch in watches], POLL_SECONDS, "watch", PATIENCE_SECONDS
    ):
        yield


def watched_asset(
    key: dg.AssetKey, tables: list[dg.AssetKey], description: str, check: str, meaning: str
) -> dg.Definitions:
    """Return an asset that the stream's run tells of, and its check.

    Args:
        key: The asset.
        tables: The assets of the tables that it hangs on.
        description: What its figures are.
        check: Name of the check.
        meaning: When the check warns.
    """
    spec = dg.AssetSpec(
        key,
        deps=tables,
        group_name="lake",
        kinds={"hudi"},
        owners=["team:data"],
        description=f"{description} The run of chat_stream tells it each {TOLD_SECONDS // 60} "
        "minutes.",
    )

    @dg.asset_check(
        asset=key,
        name=check,
        description=meaning,
        metadata={
            EVALUATED: f"each {POLL_SECONDS} s by the run of chat_stream, which tells an outcome "
            f"when it changes and after {REPORT_TTL_SECONDS // 60} minutes"
        },
    )
    def told(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return _as_told(context.instance, dg.AssetCheckKey(key, check))

    return dg.Definitions(assets=[spec], asset_checks=[told])


def _as_told(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """Return what the stream told last: only it knows."""
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    told = next((row.evaluation for row in history if row.evaluation and not row.run_id), None)
    if told is None:
        return dg.AssetCheckResult(passed=True, description="The stream has told nothing yet.")
    return dg.AssetCheckResult(
        passed=told.passed,
        severity=told.severity,
        description=told.description,
        metadata=told.metadata,
    )
