"""When a view of several tables is created, and when the hourly check is due."""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from qimo_assets.automation.conditions import MESSAGES, hourly, view_condition
from qimo_assets.partitions import daily

DAY = "2021-11-07"
OTHER, VIEW = dg.AssetKey(["hudi", "other"]), dg.AssetKey(["hive", "v"])


def test_a_view_waits_for_each_table_that_it_reads() -> None:
    @dg.asset(
        key=VIEW, deps=[MESSAGES, OTHER], automation_condition=view_condition([MESSAGES, OTHER])
    )
    def view() -> None: ...

    defs = dg.Definitions(
        assets=[*(dg.AssetSpec(key, partitions_def=daily) for key in (MESSAGES, OTHER)), view]
    )
    instance, cursor, requested = dg.DagsterInstance.ephemeral(), None, []
    for key in (None, MESSAGES, OTHER):
        if key:
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=DAY))
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
        cursor = result.cursor
        requested.append(result.get_num_requested(VIEW))
    assert requested == [0, 0, 1]


def test_a_check_is_requested_once_an_hour() -> None:
    @dg.asset_check(asset=MESSAGES, automation_condition=hourly())
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    defs, instance, cursor, requested = (
        dg.Definitions(asset_checks=[check]),
        dg.DagsterInstance.ephemeral(),
        None,
        [],
    )
    for hour, minute in ((10, 0), (10, 10), (10, 50), (11, 4), (11, 6)):
        now = datetime(2024, 5, 1, hour, minute).astimezone()
        result = dg.evaluate_automation_conditions(
            defs, instance, cursor=cursor, evaluation_time=now
        )
        cursor = result.cursor
        requested.append(result.total_requested)
    assert requested == [0, 1, 0, 0, 1]
