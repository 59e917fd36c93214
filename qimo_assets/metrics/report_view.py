"""The MySQL view `7mo_report` over the metrics, as reports made for the original course's table
read it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import dagster as dg

from qimo_assets.automation.conditions import view_condition
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.publish import SQL_DIR, ensure_tables
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.sql import render

REPORT_VIEW = "7mo_report"


def build_report_view() -> dg.AssetsDefinition:
    """Return the view's asset: materializing it creates the view, or replaces it when its SQL
    changed; its rows follow the metrics by themselves.
    """
    statement = render(SQL_DIR / f"{REPORT_VIEW}.sql")
    metrics = [metric for metric in METRICS if f"`{metric.name}`" in statement]
    deps = [metric_key(metric.name) for metric in metrics]
    sql = dg.MetadataValue.md(f"```sql\n{statement}\n```")

    @dg.asset(
        # A function's name cannot begin with a digit, and Dagster names the step after the key.
        key=metric_key(REPORT_VIEW),
        deps=deps,
        group_name="metrics",
        kinds={"mysql", "sql"},
        owners=["team:data"],
        description="The figures of all days as name, total and category: a view in the form of "
        "the original course's table.",
        metadata={"sql": sql, "dagster/table_name": REPORT_VIEW},
        code_version=hashlib.sha256(statement.encode()).hexdigest()[:16],
        automation_condition=view_condition(deps),
        # It has no days, but the command that publishes a range of days of all that stands in MySQL
        # takes no asset without this.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def report_view(mysql: MySQLResource) -> dg.MaterializeResult[Any]:
        with mysql.connect() as connection, connection.cursor() as cursor:
            for metric in metrics:
                ensure_tables(connection, metric)
            cursor.execute(statement)
        return dg.MaterializeResult(metadata={"sql": sql})

    return report_view
