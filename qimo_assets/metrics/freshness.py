"""Whether MySQL has what the lake had: the newest day under a check of its own, and metrics that
stay fresh while nothing is new.

A freshness policy asks when its asset was last materialized. On a quiet night nothing is, and the
policy alone would warn; so the watch says at intervals that a metric holds everything there is.
That event names no day, and what names no day makes nothing downstream stale.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, cast
from zoneinfo import ZoneInfo

import dagster as dg

from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.assets import STREAM_JOB
from qimo_assets.lake.reporter import INSTANT
from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.specs import metric_key
from qimo_assets.partitions import daily
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource

CHECK = "newest_day_is_published"
WATCH_SECONDS = 60
# A day touched while its run was reading is requested again within seconds; until then it looks
# published.
SETTLED_SECONDS = 120
# A metric is said to be fresh when this part of the time to its policy's warning is over.
SAID_AFTER = 0.6
MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION

Published = Mapping[tuple[str, str], str]


def build_freshness_definitions(
    assets: Sequence[dg.AssetsDefinition], metrics: Sequence[Metric] = METRICS
) -> dg.Definitions:
    """Return the check of the newest day for each metric, and the sensor that watches all of them.

    Args:
        assets: The metrics' assets.
        metrics: Their entries in the catalog.
    """
    specs = [
        dg.AssetCheckSpec(
            CHECK,
            asset=metric_key(metric.name),
            description="Fails when the newest day in the lake, by the calendar of Shanghai, has "
            f"waited {metric.fail_minutes} minutes to be published; "
            f"warns after {metric.warn_minutes}.",
        )
        for metric in metrics
    ]
    tables = {
        key: {dep for dep in keys if dep.path[0] == MESSAGES.path[0]}
        for asset in assets
        for key, keys in asset.asset_deps.items()
    }

    @dg.multi_asset_check(name=CHECK, specs=specs, can_subset=True)
    def newest_day(context: dg.AssetCheckExecutionContext, mysql: MySQLResource):
        wanted = {key.asset_key for key in context.selected_asset_check_keys}
        yield from judge(
            context.instance,
            [metric for metric in metrics if metric_key(metric.name) in wanted],
            published_days(mysql),
            time.time(),
        )

    @dg.sensor(
        name="freshness_watch",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells when the newest day waits too long for its publication, and keeps the "
        "metrics fresh while nothing is new.",
    )
    def freshness_watch(
        context: dg.SensorEvaluationContext, kafka: KafkaResource, mysql: MySQLResource
    ) -> dg.SensorResult:
        now = time.time()
        results = judge(context.instance, metrics, published_days(mysql), now)
        before = json.loads(context.cursor or "{}")
        outcomes = {
            metric.name: _outcome(result) for metric, result in zip(metrics, results, strict=True)
        }
        changed = [
            _evaluation(result)
            for metric, result in zip(metrics, results, strict=True)
            if outcomes[metric.name] != before.get(metric.name)
        ]
        due = quiet_metrics(
            context.instance,
            metrics,
            tables,
            lambda: sum(partition.lag for partition in kafka.state()),
            now,
        )
        return dg.SensorResult(
            asset_events=[*changed, *(still_fresh(context.instance, metric) for metric in due)],
            cursor=json.dumps(outcomes),
        )

    return dg.Definitions(asset_checks=[newest_day], sensors=[freshness_watch])


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
    touched = {
        source: instance.get_latest_storage_id_by_partition(source, MATERIALIZED)
        for source in sources
    }
    today = datetime.fromtimestamp(now, ZoneInfo(TIMEZONE)).date()
    return [
        metric
        for metric in due
        if not any(
            days_behind(instance, metric, touched[table], today)
            for table in tables[metric_key(metric.name)]
        )
    ]


def days_behind(
    instance: dg.DagsterInstance, metric: Metric, touched: Mapping[str, int], today: date
) -> set[str]:
    """Return the days of a metric that are older than the lake's days that they are made from.

    Args:
        instance: Holds the metric's events.
        metric: The metric.
        touched: Storage id of the newest event of each day of a table.
        today: The last day that there is.
    """
    done = instance.get_latest_storage_id_by_partition(metric_key(metric.name), MATERIALIZED)
    offsets = range(-metric.looks_ahead, metric.looks_back + 1)
    pairs = [
        (date.fromisoformat(day) + timedelta(days=offset), event)
        for day, event in touched.items()
        for offset in offsets
    ]
    return {
        str(day)
        for day, event in pairs
        if daily.start.date() <= day <= today and done.get(str(day), 0) < event
    }


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
                description=f"{report[0]} has waited more than {minutes} minutes: look at the "
                f"newest runs of {metric_key(metric.name).to_user_string()} and at the sensor "
                "views_and_metrics.",
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


def _outcome(result: dg.AssetCheckResult) -> str:
    return "passed" if result.passed else result.severity.value


def _evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=cast("dg.AssetKey", result.asset_key),
        check_name=CHECK,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


def _materialized_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> float | None:
    event = instance.get_latest_materialization_event(key)
    return event.timestamp if event else None
