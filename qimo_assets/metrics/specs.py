"""How Dagster knows a metric: its key, what it is made from, and when it is materialized."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from qimo_assets.automation.conditions import metric_condition
from qimo_assets.columns import english, in_both
from qimo_assets.metrics.catalog import TOTAL, Metric
from qimo_assets.partitions import window
from qimo_assets.views.assets import lake_keys, view_key
from qimo_assets.views.sql import view_statement


def metric_key(name: str) -> dg.AssetKey:
    """Return the asset key of a metric's table."""
    return dg.AssetKey(["mysql", name])


def metric_spec(metric: Metric, database: str, rest: int) -> dg.AssetSpec:
    """Return the asset of a metric's table.

    Args:
        metric: The metric.
        database: Hive database of the views.
        rest: How many times as long as its run it rests after it.
    """
    return dg.AssetSpec(
        key=metric_key(metric.name),
        deps=[
            view_key(metric.name),
            *(
                dg.AssetDep(key, partition_mapping=window(metric.looks_back, metric.looks_ahead))
                for key in lake_keys(metric.name)
            ),
        ],
        # One of them may be asked for without the others.
        skippable=True,
        group_name="metrics",
        kinds={"mysql"},
        owners=["team:data"],
        description=f"{metric.title_en} ({metric.title_zh}), published as the MySQL table "
        f"{metric.name}.",
        metadata={
            "dagster/table_name": metric.name,
            "sql": dg.MetadataValue.md(f"```sql\n{view_statement(metric.name, database)}\n```"),
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(
                        column.name,
                        column.mysql_type,
                        in_both(column.comment_en or english(column.name), column.comment_zh),
                    )
                    for column in metric.columns
                ]
            ),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(minutes=metric.fail_minutes),
            warn_window=timedelta(minutes=metric.warn_minutes),
        ),
        automation_condition=metric_condition(
            rest,
            beside=None if metric.rest or metric.name == TOTAL else metric_key(TOTAL),
            late_minutes=metric.late_minutes,
            looks_back=metric.looks_back,
            looks_ahead=metric.looks_ahead,
        ),
    )
