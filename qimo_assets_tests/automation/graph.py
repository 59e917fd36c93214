"""A small graph on an ephemeral instance, whose automation is evaluated by hand and whose clock is
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.test_utils import freeze_time

from qimo_assets.automation.behind import SENSOR_TAG
from qimo_assets.automation.conditions import MESSAGES, metric_condition, view_condition
from qimo_assets.automation.ranges import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.events import INSTANT
from qimo_assets.partitions import daily, window

VIEW, METRIC = dg.AssetKey(["hive", "m"]), dg.AssetKey(["mysql", "m"])
# Waits for the runs and requests of the metric.
BESIDE = dg.AssetKey(["mysql", "beside"])
NOON = "2026-03-10 12:00"
WARN_MINUTES, FAIL_MINUTES = 15, 60


class HeldClock:
    """A clock that stands still while something happens: what happens between two evaluations is
    later than the one and earlier than the other, however long they take.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._held = ExitStack()

    @contextmanager
    def clock(self, minutes: float = 0) -> Generator[None, None, None]:
        """Hold the clock, a second after it was last held, and some minutes."""
        self.now += timedelta(minutes=minutes, seconds=1)
        with self._held:
            self._held.enter_context(freeze_time(self.now))
            yield

    def pass_time(self, minutes: float) -> None:
        """Let time pass while the clock is held, as in the middle of a run."""
        self.now += timedelta(minutes=minutes)
        self._held.enter_context(freeze_time(self.now))


class Graph(HeldClock):
    """A metric on a view on the messages."""

    def __init__(
        self,
        now: str = NOON,
        looks_back: int = 0,
        looks_ahead: int = 0,
        rest: int = 0,
        late_minutes: int = 0,
    ) -> None:
        super().__init__(shanghai(now))
        self.fails = False
        self.during_run: Callable[[], None] = lambda: None
        self.instance = dg.DagsterInstance.ephemeral()
        self._window = window(looks_back, looks_ahead)
        self._looks = looks_back, looks_ahead
        self._rest = rest
        self._late_minutes = late_minutes
        self._cursor = None
        self.beside: set[str | None] = set()
        self.defs = self._definitions("1")

    def _definitions(self, view_version: str) -> dg.Definitions:
        @dg.asset(
            key=VIEW,
            deps=[MESSAGES],
            automation_condition=view_condition([MESSAGES]),
            code_version=view_version,
        )
        def view() -> None:
            if self.fails:
                raise RuntimeError("HiveServer2 is away")

        @dg.asset(
            key=METRIC,
            deps=[VIEW, dg.AssetDep(MESSAGES, partition_mapping=self._window)],
            partitions_def=daily,
            backfill_policy=dg.BackfillPolicy.single_run(),
            automation_condition=metric_condition(
                self._rest,
                late_minutes=self._late_minutes,
                looks_back=self._looks[0],
                looks_ahead=self._looks[1],
            ),
            freshness_policy=dg.FreshnessPolicy.time_window(
                fail_window=timedelta(minutes=FAIL_MINUTES),
                warn_window=timedelta(minutes=WARN_MINUTES),
            ),
        )
        def metric() -> None:
            self.during_run()
            if self.fails:
                raise RuntimeError("MySQL is away")

        @dg.asset(
            key=BESIDE,
            deps=[MESSAGES],
            partitions_def=daily,
            backfill_policy=dg.BackfillPolicy.single_run(),
            automation_condition=metric_condition(beside=METRIC, late_minutes=self._late_minutes),
        )
        def beside() -> None: ...

        messages = dg.AssetSpec(MESSAGES, partitions_def=daily)
        return dg.Definitions(assets=[messages, view, metric, beside])

    def change_view(self) -> None:
        """Load the definitions again with other SQL in the view."""
        self.defs = self._definitions("2")

    def touch(self, *days: str, minutes: float = 0) -> None:
        """Report the messages of days as changed, as the streaming run does."""
        for day in days:
            with self.clock(minutes):
                metadata = {"rows written": 1, INSTANT: instant(self.now)}
                self.instance.report_runless_asset_event(
                    dg.AssetMaterialization(MESSAGES, partition=day, metadata=metadata)
                )

    def materialize(self, key: dg.AssetKey = METRIC, *days: str, minutes: float = 0) -> bool:
        """Run an asset: without a day, for one, or for all from the first to the last of them."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        tags = {RANGE_START_TAG: days[0], RANGE_END_TAG: days[-1]} if len(days) > 1 else {}
        day = days[0] if len(days) == 1 else None
        with self.clock(minutes):
            run = job.execute_in_process(
                instance=self.instance,
                asset_selection=[key],
                partition_key=day,
                tags=tags,
                raise_on_error=False,
            )
        return run.success

    def started(self, day: str, *, by_sensor: bool = True) -> dg.DagsterRun:
        """Begin a run of a day and leave it under way."""
        with self.clock():
            return self.instance.create_run_for_job(
                self.defs.resolve_implicit_global_asset_job_def(),
                asset_selection=frozenset({METRIC}),
                tags={PARTITION_TAG: day, **({SENSOR_TAG: "any"} if by_sensor else {})},
                status=dg.DagsterRunStatus.STARTED,
            )

    def ended(
        self, day: str, status: dg.DagsterRunStatus | None, *, by_sensor: bool = True
    ) -> None:
        """End a run of a day before it publishes: terminated, or deleted as a whole."""
        run = self.started(day, by_sensor=by_sensor)
        with self.clock():
            if status is None:
                self.instance.delete_run(run.run_id)
            else:
                self.instance.report_run_canceled(run)

    def create_view(self) -> None:
        """Materialize the view."""
        assert self.materialize(VIEW)

    def tick(self, minutes: float = 0) -> set[str]:
        """Evaluate the conditions, some time after the tick before, and return the requested days;
        a view stands as its name. Those of the metric beside it are kept.
        """
        with self.clock(minutes):
            result = dg.evaluate_automation_conditions(
                self.defs, self.instance, cursor=self._cursor, evaluation_time=self.now
            )
        self._cursor = result.cursor
        self.beside = set(result.get_requested_partitions(BESIDE)) - {None}
        view = {"view"} if result.get_num_requested(VIEW) else set()
        return set(result.get_requested_partitions(METRIC)) - {None} | view  # pyright: ignore[reportReturnType]

    def settle(self) -> set[str]:
        """Publish whatever a tick requests, until one requests nothing; return the days."""
        done: set[str] = set()
        while days := self.tick():
            assert all(self.materialize(METRIC, day) for day in days)
            done |= days
        return done


def shanghai(text: str) -> datetime:
    """Return the time that a clock in Shanghai shows."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(TIMEZONE))


def instant(moment: datetime) -> str:
    """Return the instant of a commit of this moment."""
    return moment.strftime("%Y%m%d%H%M%S") + "000"


def running(
    now: str = NOON,
    looks_back: int = 0,
    looks_ahead: int = 0,
    rest: int = 0,
    late_minutes: int = 0,
) -> Graph:
    """Return a graph whose view exists and whose automation has been evaluated once."""
    graph = Graph(now, looks_back, looks_ahead, rest, late_minutes)
    graph.create_view()
    assert graph.tick() == set()
    return graph
