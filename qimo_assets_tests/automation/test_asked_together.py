"""A metric that is asked for together with the lake, as by a selection of both or of everything: it
is made after the lake has caught up, and not skipped.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.lake import run
from qimo_assets.lake.assets import QUARANTINED, SENT_AGAIN_KEY, build_lake_definitions
from qimo_assets.partitions import daily
from qimo_assets.settings import load_settings
from qimo_assets_tests.unit.conftest import REQUIRED

DAY = "2026-11-07"


@pytest.mark.parametrize("asked", [[MESSAGES], [MESSAGES, QUARANTINED, SENT_AGAIN_KEY]], ids=len)
def test_a_metric_asked_for_with_the_lake_is_made_after_it(
    monkeypatch: pytest.MonkeyPatch, asked: list[dg.AssetKey]
) -> None:
    done: list[str] = []
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()

    @dg.asset(deps=asked, partitions_def=daily)
    def metric() -> None:
        done.append("metric")

    monkeypatch.setattr(run, "run_stream", lambda *_: done.append("lake"))
    lake = build_lake_definitions(load_settings()).assets or []
    resources: dict[str, Any] = dict.fromkeys(("spark", "kafka", "mysql"), object())
    result = dg.materialize(
        [*lake, metric],  # pyright: ignore[reportArgumentType]  # assets alone
        selection=[*asked, metric.key],
        partition_key=DAY,
        resources=resources,
    )
    assert result.success
    assert done == ["lake", "metric"]
    made = [event.asset_key for event in result.get_asset_materialization_events()]
    assert made == [*asked, metric.key]
