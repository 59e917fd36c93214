"""The graph as data: assets, checks, jobs and sensors, compared in full with the recorded ones.

After a wanted change write it anew, and read the difference before it is committed:

    ./qimo test qimo_assets_tests/unit/test_definitions.py --snapshot-update
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from qimo_assets.automation.sensor import HeldConditions
from qimo_assets.automation.ticks import EARLY_SECONDS
from qimo_assets.columns import WORDS
from qimo_assets.settings import Settings, load_settings
from qimo_assets_tests.unit.conftest import REQUIRED

# Dagster's own use of a name that it will give up; its version is pinned.
pytestmark = pytest.mark.filterwarnings("ignore:Property `OpDefinition.version`:DeprecationWarning")


@pytest.fixture(scope="module")
def defs() -> Iterator[dg.Definitions]:
    """The definitions for the required settings and every default, whatever the
    environment says.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("QIMO_")]:
            patch.delenv(name)
        for name, value in {**REQUIRED, "QIMO_HOME": "/none"}.items():
            patch.setenv(name, value)
        load_settings.cache_clear()
        from qimo_assets.definitions import build_definitions

        yield build_definitions(Settings())  # pyright: ignore[reportCallIssue]  # the values come from the environment
    load_settings.cache_clear()


def partitions(definition: dg.PartitionsDefinition | None) -> str | None:
    if definition is None:
        return None
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    return (
        f"{definition.cron_schedule} from {definition.start.isoformat()} "
        f"{definition.timezone}, end offset {definition.end_offset}, as {definition.fmt}"
    )


def names(keys: Any) -> list[str]:
    return sorted(key.to_user_string() for key in keys)


def asset(spec: dg.AssetSpec, checks: list[dg.AssetCheckKey]) -> dict[str, Any]:
    policy = spec.freshness_policy
    assert policy is None or isinstance(policy, TimeWindowFreshnessPolicy)
    return {
        "deps": names(dep.asset_key for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": sorted(spec.owners),
        "partitions": partitions(spec.partitions_def),
        "automated": spec.automation_condition is not None,
        "fresh_within_minutes": policy
        and int(policy.fail_window.to_timedelta().total_seconds() // 60),
        "checks": sorted(check.name for check in checks if check.asset_key == spec.key),
    }


def sensor(definition: dg.SensorDefinition, graph: Any) -> dict[str, Any]:
    selection = definition.asset_selection
    return {
        "seconds": definition.minimum_interval_seconds,
        "status": definition.default_status.value,
        "jobs": sorted(target.job_name for target in definition.targets if target.job_name)
        if definition.has_jobs
        else [],
        "assets": names(selection.resolve(graph)) if selection else [],
        "run_tags": dict(getattr(definition, "run_tags", None) or {}),
    }


def graph(defs: dg.Definitions) -> dict[str, Any]:
    """Return what of the graph people and other systems rely on."""
    repository = defs.get_repository_def()
    assets = repository.asset_graph
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    return {
        "assets": {
            spec.key.to_user_string(): asset(spec, list(assets.asset_check_keys))
            for spec in defs.resolve_all_asset_specs()
        },
        "jobs": {
            job.name: {"assets": names(job.asset_layer.selected_asset_keys), "tags": dict(job.tags)}
            for job in jobs
        },
        "sensors": {item.name: sensor(item, assets) for item in repository.sensor_defs},
        "schedules": sorted(item.name for item in repository.schedule_defs),
        "resources": sorted(repository.get_top_level_resources()),
    }


def test_the_graph_is_the_recorded_one(defs: dg.Definitions, snapshot: SnapshotAssertion) -> None:
    assert graph(defs) == snapshot(extension_class=JSONSnapshotExtension)


def test_no_sensor_waits_for_a_look_longer_than_it_says(defs: dg.Definitions) -> None:
    intervals = {
        item.name: item.minimum_interval_seconds or 0
        for item in defs.get_repository_def().sensor_defs
        if not isinstance(item, HeldConditions)
    }
    assert intervals
    late = [name for name, seconds in intervals.items() if (seconds + EARLY_SECONDS) % 5]
    assert late == []


def test_each_asset_check_job_and_sensor_says_what_it_is(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    described: dict[str, str | None] = {
        spec.key.to_user_string(): spec.description for spec in defs.resolve_all_asset_specs()
    }
    described |= {
        str(key): repository.asset_graph.get_check_spec(key).description
        for key in repository.asset_graph.asset_check_keys
    }
    described |= {
        job.name: job.description
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    described |= {item.name: item.description for item in repository.sensor_defs}
    assert [name for name, text in described.items() if not text or len(text) < 20] == []


def test_keys_say_where_the_thing_is(defs: dg.Definitions) -> None:
    assert {key.path[0] for key in defs.resolve_asset_graph().get_all_asset_keys()} <= {
        "log",
        "kafka",
        "hudi",
        "hive",
        "mysql",
        "report",
    }


def test_a_range_of_days_of_all_that_stands_in_mysql_is_one_run(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    policies = {
        key.to_user_string(): graph.get(key).backfill_policy
        for key in dg.AssetSelection.key_prefixes("mysql").resolve(graph)
    }
    # The command line refuses the whole range when one asset has another policy, also an asset
    # without days.
    assert set(policies.values()) == {dg.BackfillPolicy.single_run()}


def test_every_asset_is_reached_from_the_log_directory(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert graph.toposorted_asset_keys[0] == dg.AssetKey(["log", "chat"])
    assert graph.root_materializable_asset_keys == {dg.AssetKey(["log", "flume_agent"])}
    assert graph.external_asset_keys == {
        dg.AssetKey(["log", "chat"]),
        dg.AssetKey(["hudi", "table_services"]),
        dg.AssetKey(["hudi", "known_ranges"]),
    }


def test_no_password_is_in_what_the_code_server_tells(defs: dg.Definitions) -> None:
    told = serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
    assert REQUIRED["QIMO_KAFKA__BOOTSTRAP"] in told
    assert REQUIRED["QIMO_MYSQL__PASSWORD"] not in told


def test_each_column_of_lake_views_and_metrics_is_described_in_both_languages(
    defs: dg.Definitions,
) -> None:
    described = {
        f"{spec.key.to_user_string()}.{column.name}": column
        for spec in defs.resolve_all_asset_specs()
        if spec.key.path[0] in ("hudi", "hive", "mysql")
        and spec.key.path[-1] not in ("7mo_report", "table_services", "known_ranges")
        for column in spec.metadata["dagster/column_schema"].columns
    }
    assert len(described) > 150
    poor = {
        name
        for name, column in described.items()
        if not re.search("[a-z]", column.description or "")
        or not re.search("[\u4e00-\u9fff]", column.description or "")
        or not column.type
    }
    assert poor == set()


def test_no_column_is_described_that_is_nowhere(defs: dg.Definitions) -> None:
    there = {
        column.name
        for spec in defs.resolve_all_asset_specs()
        if "dagster/column_schema" in spec.metadata
        for column in spec.metadata["dagster/column_schema"].columns
    }
    assert set(WORDS) - there == set()
