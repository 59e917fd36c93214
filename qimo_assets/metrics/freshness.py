"""Whether MySQL has what the lake had: the newest day and all days under checks of their own, and
metrics that stay fresh while nothing is new.

A freshness policy asks when its asset was last materialized. On a quiet night nothing is, and the
policy alone would warn; so the watch says at intervals that a metric holds everything there is.
That event names no day, and what names no day makes nothing downstream stale. It would hide what
the last run told of the checks, so the watch evaluates them with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, cast
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._time import get_current_timestamp

from qimo_assets.automation.behind import Touched, days_behind, touched_days
from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS, news, unheard
from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.automation.jobs import PUBLISH_METRICS
from qimo_assets.automation.ticks import each
from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.assets import STREAM_JOB
from qimo_assets.lake.events import INSTANT
from qimo_assets.metadata import table
from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.checks import evaluate, invariant_specs
from qimo_assets.metrics.report_view import REPORT_VIEW
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource

CHECK = "newest_day_is_published"
EVERY_DAY = "every_day_is_published"
WATCH_SECONDS = 60
# A day touched while its run was reading is requested again within seconds; until then it looks
# published.
SETTLED_SECONDS = 120
# A metric is said to be fresh when this part of the time to its policy's warning is over.
SAID_AFTER = 0.6
# What a check looks at and names of a metric.
MAX_DAYS = 50
PACE = (
    f"each {WATCH_SECONDS} s by the sensor freshness_watch, which tells an outcome when it changes "
    f"and after {REPORT_TTL_SECONDS // 60} minutes"
)

Published = Mapping[tuple[str, str], str]


def build_freshness_definitions(
    assets: Sequence[dg.AssetsDefinition], metrics: Sequence[Metric] = METRICS
) -> dg.Definitions:
    """Return the check of all days, and the sensor that watches all checks of the metrics.

    Args:
        assets: The metrics' assets.
        metrics: Their entries in the catalog.
    """
    tables = {
        key: {dep for dep in keys if dep.path[0] == MESSAGES.path[0]}
        for asset in assets
        for key, keys in asset.asset_deps.items()
    }

    # Of an asset that is seldom materialized: each run would look through all days.
    @dg.asset_check(
        asset=metric_key(REPORT_VIEW),
        name=EVERY_DAY,
        description="Fails when any day of any metric is older in MySQL than in the lake for "
        "longer than the catalog allows, and says which.",
        metadata={EVALUATED: PACE},
    )
    def every_day(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return judge_every_day(context.instance, metrics, tables, get_current_timestamp())

    @dg.sensor(
        name="freshness_watch",
        minimum_interval_seconds=each(WATCH_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells which days wait too long for their publication, keeps the metrics fresh "
        "while nothing is new, and their checks evaluated.",
    )
    def freshness_watch(
        context: dg.SensorEvaluationContext, kafka: KafkaResource, mysql: MySQLResource
    ) -> dg.SensorResult:
        instance, now = context.instance, get_current_timestamp()
        due = quiet_metrics(
            instance, metrics, tables, lambda: sum(each.lag for each in kafka.state()), now
        )
        renewed = [metric_key(metric.name) for metric in due]
        # A run tells of them; here only what nobody hears any more.
        invariants = unheard(
            instance, [spec.key for spec in invariant_specs(metrics)], now, renewed
        )
        results = [
            *judge(instance, metrics, published_days(mysql), now),
            judge_every_day(instance, metrics, tables, now),
            *evaluate(mysql, invariants & _published(instance, metrics)),
        ]
        return dg.SensorResult(
            asset_events=[
                *(still_fresh(instance, metric) for metric in due),
                *news(instance, results, now, renewed),
            ]
        )

    return dg.Definitions(asset_checks=[every_day], sensors=[freshness_watch])


def newest_specs(metrics: Sequence[Metric]) -> list[dg.AssetCheckSpec]:
    """Return the check of the newest day for each metric."""
    return [
        dg.AssetCheckSpec(
            CHECK,
            asset=metric_key(metric.name),
            description="Fails when the newest day in the lake, by the calendar of Shanghai, has "
            f"waited {metric.fail_minutes} minutes to be published; "
            f"warns after {metric.warn_minutes}.",
            metadata={EVALUATED: f"{PACE}; in each run that publishes the metric"},
        )
        for metric in metrics
    ]


def published_days(mysql: MySQLResource) -> Published:
    """Return the instants from which the newest days of the metrics were published, by table and
    day.
    """
    with mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = "
            "DATABASE() AND table_name = 'publication'"
        )
        if cursor.fetchall() == [(0,)]:
            return {}
        # Metrics that look back publish days up to a month after the newest message; the newest day
        # of messages is among these.
        cursor.execute(
            "SELECT metric, day, source_instant FROM publication WHERE day >= (SELECT "
            "max(day) FROM publication) - INTERVAL 60 DAY"
        )
        return {
            (str(metric), str(day)): str(instant)
            for metric, day, instant in cast("list[tuple[Any, ...]]", cursor.fetchall())
        }


def judge(
    instance: dg.DagsterInstance, metrics: Sequence[Metric], published: Published, now: float
) -> list[dg.AssetCheckResult]:
    """Judge for each metric whether the newest day that the lake had some minutes ago is published.

    Args:
        instance: Holds what the stream reported.
        metrics: The metrics.
        published: What MySQL holds, see `published_days`.
        now: Seconds since the epoch.
    """
    reported = cache(lambda minutes: newest_report(instance, now - 60 * minutes))
    return [_judge(metric, published, reported) for metric in metrics]


def newest_report(instance: dg.DagsterInstance, before: float) -> tuple[str, str] | None:
    """Return the newest day of messages that the stream had reported before a time, and the instant
    up to which it reported.

    A report of several days carries its instant on the newest of them only. The newest day that is
    reported stands on each side of midnight for itself: a new day that is too young to be judged
    does not hide the one before.
    """
    today = str(datetime.fromtimestamp(before, ZoneInfo(TIMEZONE)).date())
    for day in sorted(
        (day for day in instance.get_materialized_partitions(MESSAGES) if day <= today),
        reverse=True,
    ):
        which = dg.AssetRecordsFilter(MESSAGES, asset_partitions=[day], before_timestamp=before)
        for record in instance.fetch_materializations(which, limit=1).records:
            materialization = record.asset_materialization
            value = materialization.metadata.get(INSTANT) if materialization else None
            return day, str(value.value) if value else ""
    return None


def quiet_metrics(
    instance: dg.DagsterInstance,
    metrics: Sequence[Metric],
    tables: Mapping[dg.AssetKey, set[dg.AssetKey]],
    lag: Callable[[], int],
    now: float,
) -> list[Metric]:
    """Return the metrics whose policy will warn though they hold everything there is: a stream
    runs, has read the whole topic, and all its days are published.

    Args:
        instance: Holds runs and events.
        metrics: The metrics.
        tables: The lake's tables that a metric reads.
        lag: Asks how many lines of the topic are not in the lake; asked only when a policy would
            warn.
        now: Seconds since the epoch.
    """
    due = [
        metric
        for metric in metrics
        if (said := _materialized_at(instance, metric_key(metric.name)))
        and now - said > 60 * metric.warn_minutes * SAID_AFTER
    ]
    live = dg.RunsFilter(job_name=STREAM_JOB, statuses=[dg.DagsterRunStatus.STARTED])
    if not due or not instance.get_runs_count(live) or lag():
        return []
    sources = set().union(*(tables[metric_key(metric.name)] for metric in due))
    if any(now - (_materialized_at(instance, source) or 0) < SETTLED_SECONDS for source in sources):
        return []
    today = datetime.fromtimestamp(now, ZoneInfo(TIMEZONE)).date()
    touched = {source: touched_days(instance, source) for source in sources}
    return [
        metric
        for metric in due
        if not _behind(instance, metric, tables, touched.__getitem__, today)
    ]


def judge_every_day(
    instance: dg.DagsterInstance,
    metrics: Sequence[Metric],
    tables: Mapping[dg.AssetKey, set[dg.AssetKey]],
    now: float,
) -> dg.AssetCheckResult:
    """Judge whether all days of all metrics are as new as the lake was some minutes ago, and say
    which are not.

    Args:
        instance: Holds the events of both.
        metrics: The metrics.
        tables: The lake's tables that a metric reads.
        now: Seconds since the epoch.
    """
    today = datetime.fromtimestamp(now, ZoneInfo(TIMEZONE)).date()
    touched = cache(lambda source: touched_days(instance, source))
    behind: dict[str, list[str]] = {}
    for metric in metrics:
        sources = tables[metric_key(metric.name)]
        since = now - 60 * metric.fail_minutes
        days = sorted(_behind(instance, metric, tables, touched, today), reverse=True)
        late = [
            day
            for day in days[:MAX_DAYS]
            if _waits(instance, metric, sources, date.fromisoformat(day), since)
        ]
        if late:
            behind[metric.name] = late
    days = sorted({day for late in behind.values() for day in late}, reverse=True)
    return dg.AssetCheckResult(
        asset_key=metric_key(REPORT_VIEW),
        check_name=EVERY_DAY,
        passed=not days,
        description=f"Behind: {', '.join(days[:10])}. They are wanted again each minute: look at "
        f"the newest runs of {PUBLISH_METRICS}."
        if days
        else None,
        metadata={
            "days behind": len(days),
            "each day": table(
                ["day", "metrics"],
                [
                    (day, ", ".join(name for name, late in behind.items() if day in late))
                    for day in days
                ],
            ),
        },
    )


def _behind(
    instance: dg.DagsterInstance,
    metric: Metric,
    tables: Mapping[dg.AssetKey, set[dg.AssetKey]],
    touched: Callable[[dg.AssetKey], Touched],
    today: date,
) -> set[str]:
    key = metric_key(metric.name)
    return days_behind(
        instance,
        key,
        [touched(source) for source in tables[key]],
        today,
        metric.looks_back,
        metric.looks_ahead,
    )


def _waits(
    instance: dg.DagsterInstance,
    metric: Metric,
    sources: Iterable[dg.AssetKey],
    day: date,
    since: float,
) -> bool:
    """Return whether a day was touched before a time, and not published since it was."""
    done = newest_event(instance, metric_key(metric.name), [str(day)], None)
    window = [
        str(day + timedelta(days=offset))
        for offset in range(-metric.looks_back, metric.looks_ahead + 1)
    ]
    return any(newest_event(instance, source, window, since) > done for source in sources)


def newest_event(
    instance: dg.DagsterInstance, key: dg.AssetKey, days: list[str], before: float | None
) -> int:
    """Return the id of the newest materialization of some days; 0 where there is none."""
    which = dg.AssetRecordsFilter(key, asset_partitions=days, before_timestamp=before)
    records = instance.fetch_materializations(which, limit=1).records
    return records[0].storage_id if records else 0


def _published(instance: dg.DagsterInstance, metrics: Sequence[Metric]) -> set[dg.AssetCheckKey]:
    """Return the invariants of the metrics that were ever published."""
    there = {
        metric.name for metric in metrics if _materialized_at(instance, metric_key(metric.name))
    }
    return {spec.key for spec in invariant_specs(metrics) if spec.key.asset_key.path[-1] in there}


def still_fresh(instance: dg.DagsterInstance, metric: Metric) -> dg.AssetMaterialization:
    """Return the event that says that a metric holds everything there is; it shows what its last
    publication showed.
    """
    last = instance.get_latest_materialization_event(metric_key(metric.name))
    shown = last.asset_materialization.metadata if last and last.asset_materialization else {}
    return dg.AssetMaterialization(
        metric_key(metric.name),
        description="Nothing new: MySQL holds everything that the lake holds.",
        metadata=shown,
    )


def _judge(
    metric: Metric, published: Published, reported: Callable[[int], tuple[str, str] | None]
) -> dg.AssetCheckResult:
    for minutes, severity in (
        (metric.fail_minutes, dg.AssetCheckSeverity.ERROR),
        (metric.warn_minutes, dg.AssetCheckSeverity.WARN),
    ):
        report = reported(minutes)
        if report and published.get((metric.name, report[0]), "") < report[1]:
            return _result(
                metric,
                passed=False,
                severity=severity,
                day=report[0],
                description=f"{report[0]} has waited more than {minutes} minutes: "
                f"look at the newest runs of {metric_key(metric.name).to_user_string()} and at "
                "the sensor views_and_metrics.",
            )
    report = reported(0)
    return _result(
        metric,
        passed=True,
        severity=dg.AssetCheckSeverity.WARN,
        day=report[0] if report else "none",
        description="",
    )


def _result(
    metric: Metric, *, passed: bool, severity: dg.AssetCheckSeverity, day: str, description: str
) -> dg.AssetCheckResult:
    key = metric_key(metric.name)
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=key,
        check_name=CHECK,
        severity=severity,
        description=description,
        metadata={"newest day": day},
    )


def _materialized_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> float | None:
    event = instance.get_latest_materialization_event(key)
    return event.timestamp if event else None
