"""Whether the table services keep up: what Hudi has planned and not done, and since when, as an
asset of its own and a check.

Not of the tables' assets: the stream reports those each few seconds, and each report would hide
what was found. Nobody materializes this one; the stream's run tells of it without days or runs.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from qimo_assets.automation.checks import EVALUATED, HEARD_SECONDS, news
from qimo_assets.lake.beside import repeated
from qimo_assets.metadata import table

SERVICES = dg.AssetKey(["hudi", "table_services"])
CHECK = "table_services_keep_up"
LOOK_SECONDS = 60
# The longest seen took five minutes, on a busy machine; what is older has failed, more than once.
LATE_SECONDS = 1800
# Figures that move are told so often.
TOLD_SECONDS = 600
# How long a stopped run waits for a look; it asks the timeline of each table.
PATIENCE_SECONDS = 5

# Table -> when each piece of its pending work was planned, in seconds since the epoch.
Pending = Mapping[str, list[float]]


def judge(pending: Pending, now: float) -> dg.AssetCheckResult:
    """Judge whether work that was planned is done before long.

    Args:
        pending: What is planned and not done.
        now: Seconds since the epoch.
    """
    late = sorted(name for name, planned in pending.items() if _age(planned, now) > LATE_SECONDS)
    return dg.AssetCheckResult(
        asset_key=SERVICES,
        check_name=CHECK,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Planned more than {LATE_SECONDS // 60} minutes ago and not done: "
        f"{', '.join(late)}. The log of the run of chat_stream says why it fails."
        if late
        else None,
        metadata=figures(pending, now),
    )


def figures(pending: Pending, now: float) -> dict[str, dg.MetadataValue]:
    """Return pending work and its age as metadata."""
    return {
        "pending": dg.MetadataValue.int(sum(map(len, pending.values()))),
        "age of the oldest (s)": dg.MetadataValue.int(
            max((_age(planned, now) for planned in pending.values()), default=0)
        ),
        "each table": table(
            ["table", "pending", "age of the oldest (s)"],
            [(name, len(planned), _age(planned, now)) for name, planned in pending.items()],
        ),
    }


def _age(planned: list[float], now: float) -> int:
    return round(now - min(planned)) if planned else 0


@dataclass
class ServiceWatch:
    """Tells Dagster of pending work.

    Attributes:
        instance: Where it is told.
        find: Asks the timelines.
        clock: Seconds since the epoch.
    """

    instance: dg.DagsterInstance
    find: Callable[[], Pending]
    clock: Callable[[], float] = time.time
    _told_at: float = field(default=0, init=False)

    def look(self) -> None:
        """Evaluate the check, and tell what is news."""
        pending, now = self.find(), self.clock()
        events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = [
            *news(self.instance, [judge(pending, now)], now)
        ]
        if now - self._told_at >= TOLD_SECONDS:
            events.append(dg.AssetObservation(SERVICES, metadata=figures(pending, now)))
            self._told_at = now
        for event in events:
            self.instance.report_runless_asset_event(event)


@contextmanager
def watching_services(
    instance: dg.DagsterInstance, find: Callable[[], Pending]
) -> Generator[None, None, None]:
    """Watch the table services in a thread of its own.

    Args:
        instance: Where it is told.
        find: Asks the timelines.
    """
    watch = ServiceWatch(instance, find)
    with repeated(watch.look, LOOK_SECONDS, "table services", PATIENCE_SECONDS):
        yield


def build_service_definitions(tables: list[dg.AssetKey]) -> dg.Definitions:
    """Return the table services as an asset, and their check.

    Args:
        tables: The assets of the tables that are served.
    """
    spec = dg.AssetSpec(
        SERVICES,
        deps=tables,
        group_name="lake",
        kinds={"hudi"},
        owners=["team:data"],
        description="What Hudi has planned for the tables and not done yet, and since when. The "
        f"run of chat_stream tells it each {TOLD_SECONDS // 60} minutes.",
    )

    @dg.asset_check(
        asset=SERVICES,
        name=CHECK,
        description=f"Warns when work on a table was planned {LATE_SECONDS // 60} minutes ago and "
        "is not done.",
        metadata={
            EVALUATED: f"each {LOOK_SECONDS} s by the run of chat_stream, which tells an outcome "
            f"when it changes and after {HEARD_SECONDS // 60} minutes"
        },
    )
    def table_services_keep_up(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return _as_told(context.instance)

    return dg.Definitions(assets=[spec], asset_checks=[table_services_keep_up])


def _as_told(instance: dg.DagsterInstance) -> dg.AssetCheckResult:
    """Return what the stream told last: the timelines are its own to ask."""
    key = dg.AssetCheckKey(SERVICES, CHECK)
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
