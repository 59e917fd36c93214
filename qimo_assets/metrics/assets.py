"""The metrics as assets: materializing some reads their touched days from the views and publishes
them to MySQL.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._time import get_current_timestamp

from qimo_assets.automation.ranges import SENSOR_TAG
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.checks import evaluate, invariant_specs
from qimo_assets.metrics.freshness import CHECK, judge, newest_specs, published_days
from qimo_assets.metrics.refresh import Refresh, refresh_metrics
from qimo_assets.metrics.specs import metric_key, metric_spec
from qimo_assets.partitions import daily
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import MetricsSettings


def build_metric_assets(
    database: str,
    late_minutes: int | None = None,
    rest: int | None = None,
    large_day: int = MetricsSettings().large_day,
) -> list[dg.AssetsDefinition]:
    """Return the assets of the catalog's metrics. Those of one window are one step of a run: what
    they are made from is read once.

    Args:
        database: Hive database of the views.
        late_minutes: How long days that only late lines touch wait; the catalog says so if it is
            None.
        rest: How long those rest that rest after their runs, as a multiple of these; as above.
        large_day: The setting `metrics.large_day`.
    """
    windows: dict[tuple[int, int], list[Metric]] = {}
    for metric in METRICS:
        own = metric if late_minutes is None else replace(metric, late_minutes=late_minutes)
        windows.setdefault((metric.looks_back, metric.looks_ahead), []).append(own)
    return [_metrics_of(windows[window], database, rest, large_day) for window in sorted(windows)]


def _metrics_of(
    own: list[Metric], database: str, rest: int | None, large_day: int
) -> dg.AssetsDefinition:
    """Return metrics of one window as one step."""
    days = 1 + own[0].looks_back + own[0].looks_ahead

    @dg.multi_asset(
        name=f"metrics_of_{days}_day{'s' if days > 1 else ''}",
        specs=[
            metric_spec(metric, database, rest if rest is not None and metric.rest else metric.rest)
            for metric in own
        ],
        # In the same step, so that a metric is never there without its checks: Dagster's pages call
        # those not evaluated that are older.
        check_specs=[*invariant_specs(own), *newest_specs(own)],
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def metrics(
        context: dg.AssetExecutionContext, hive: HiveResource, mysql: MySQLResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        wanted = [
            metric for metric in own if metric_key(metric.name) in context.selected_asset_keys
        ]
        refreshes: list[Refresh] = []
        # Else nothing but checks was asked for, and there is no day.
        if wanted:
            refreshes = refresh_metrics(
                wanted,
                database,
                context.partition_keys,
                hive,
                mysql,
                large_day=large_day,
                # Who asks for days does it because of what they say: they are counted anew.
                again=SENSOR_TAG not in context.run.tags,
            )
        yield from evaluated(context.instance, own, mysql, context.selected_asset_check_keys)
        # The others wait for the run of this one: its event is the last.
        for refresh in sorted(refreshes, key=lambda refresh: refresh.metric.name == TOTAL):
            if refresh.error is None:
                for day, told in refresh.of_days().items():
                    key = metric_key(refresh.metric.name)
                    context.add_asset_metadata(told, asset_key=key, partition_key=day)
                yield refresh.result()
        raise_errors(refreshes)

    return metrics


def raise_errors(refreshes: Iterable[Refresh]) -> None:
    """Fail for the metrics that were not published, if there are any."""
    failed = {refresh.metric.name: refresh.error for refresh in refreshes if refresh.error}
    if failed:
        reasons = "\n".join(f"{name}: {error}" for name, error in failed.items())
        raise dg.Failure(
            f"Not published: {', '.join(failed)}. The others are.\n{reasons}"
        ) from next(iter(failed.values()))


def evaluated(
    instance: dg.DagsterInstance,
    metrics: Sequence[Metric],
    mysql: MySQLResource,
    keys: Collection[dg.AssetCheckKey],
) -> Iterator[dg.AssetCheckResult]:
    """Yield what the checks of metrics find.

    Args:
        instance: Holds what the stream reported.
        metrics: The metrics.
        mysql: Where they are published.
        keys: Which of their checks.
    """
    of_newest = {key.asset_key for key in keys if key.name == CHECK}
    yield from evaluate(mysql, {key for key in keys if key.name != CHECK})
    if judged := [metric for metric in metrics if metric_key(metric.name) in of_newest]:
        yield from judge(instance, judged, published_days(mysql), get_current_timestamp())
