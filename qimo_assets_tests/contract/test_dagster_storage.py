"""Dagster's storage over connections that are kept, against a real MariaDB: one pool a process, and
none of it the worse for a server that went.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import dagster as dg
import pytest

from qimo_assets.instance.storage import KEPT_CONNECTIONS, engine
from qimo_assets.stack.services import common_environment
from qimo_assets_tests.contract.conftest import Server

CONNECTIONS = "SELECT count(*) FROM information_schema.processlist WHERE user = 'dagster'"


@pytest.fixture
def instances(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[dg.DagsterInstance]]:
    """Five instances, as a process makes them one after the other, of the project's own
    `dagster.yaml`.
    """
    layout = server.layout
    url = common_environment(layout)["QIMO_DAGSTER_STORAGE_URL"]
    monkeypatch.setenv("QIMO_DAGSTER_STORAGE_URL", url)
    with ExitStack() as stack:
        yield [
            stack.enter_context(dg.DagsterInstance.from_config(str(layout.dagster_home)))
            for _ in range(5)
        ]
    engine(url).dispose()


def test_the_instances_of_a_process_share_their_connections(
    server: Server, instances: list[dg.DagsterInstance]
) -> None:
    for instance in instances:
        instance.optimize_for_webserver(statement_timeout=5, pool_recycle=3600, max_overflow=20)
        assert instance.get_runs_count() == 0
    [(connections,)] = server.as_root(CONNECTIONS)
    assert 1 <= connections <= KEPT_CONNECTIONS


def test_a_server_that_was_away_costs_no_query(
    server: Server, instances: list[dg.DagsterInstance]
) -> None:
    assert instances[0].get_runs_count() == 0
    server.stop()
    server.start()
    assert [instance.get_runs_count() for instance in instances] == [0] * len(instances)


def test_times_are_right_on_a_server_of_another_zone(
    server: Server, instances: list[dg.DagsterInstance]
) -> None:
    assert server.as_root("SELECT @@global.time_zone") == [("+08:00",)]
    [instance, *_] = instances

    @dg.asset_check(asset="a")
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset
    def a() -> None: ...

    before = time.time()
    assert dg.materialize([a, check], instance=instance).success
    [checked] = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(a.key, "check"), limit=1
    )
    # The server tells whole seconds.
    assert before - 1 <= checked.create_timestamp <= time.time()
    record = instance.get_latest_data_version_record(a.key)
    assert record
    assert before <= record.timestamp <= time.time()


def test_keys_that_differ_by_case_are_two(instances: list[dg.DagsterInstance]) -> None:
    [instance, *_] = instances
    for name in ("Orders", "orders"):
        instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=name))
    assert {"Orders", "orders"} <= {key.path[-1] for key in instance.all_asset_keys()}
    key = dg.AssetKey("orders")
    [event] = instance.fetch_materializations(key, limit=5).records
    assert event.partition_key == "orders"
