"""From file to figure on the real stack: what is fed arrives once, by itself, whatever is stopped
on the way.

The tests share one stack and its data, and each ends with a recount that agrees.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from qimo_assets.lake.assets import STREAM_JOB
from qimo_assets.metrics import counting, figures
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.refresh import refresh_metrics
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets_tests.conftest import TEST_PORT_OFFSET, Stack, wait_for
from qimo_assets_tests.processes import processes_of

Ask = Callable[[str], list[Any]]
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
LAUNCH = (
    "mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename "
    "... on LaunchRunSuccess { run { runId } } } }"
)
BACKFILL = (
    "mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: "
    "$params) { __typename ... on LaunchBackfillSuccess { backfillId } } }"
)
BACKFILL_STATUS = (
    "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on "
    "PartitionBackfill { status } } }"
)
MATERIALIZATIONS = (
    "query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { "
    "assetMaterializations(limit: 1000) { partition timestamp runId } } } }"
)
SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "qimo_assets"}


def materializations(stack: Stack, *key: str) -> list[dict[str, Any]]:
    """Return the materializations of an asset, newest first."""
    return stack.graphql(MATERIALIZATIONS, key={"path": list(key)})["assetNodeOrError"][
        "assetMaterializations"
    ]


def runs_over(stack: Stack, days: list[str], *key: str) -> set[str]:
    """Return the runs that materialized exactly these days of an asset; what is published by itself
    meanwhile has runs of its own.
    """
    found: dict[str, set[str]] = {}
    for item in materializations(stack, *key):
        found.setdefault(item["runId"], set()).add(item["partition"])
    return {run for run, partitions in found.items() if partitions == set(days)}


def execute(stack: Stack, statement: str) -> None:
    """Run a statement that changes the reporting database."""
    with (
        MySQLResource.from_settings(stack.settings().mysql).connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        connection.commit()


def live_run(stack: Stack) -> dict[str, Any]:
    """Return the one live run, once it has started."""
    return wait_for(lambda: next(iter(stack.runs(STREAM_JOB, "STARTED")), None))


def test_status_tells_state_ports_memory_and_endpoints(stack: Stack) -> None:
    live_run(stack)
    status = stack.status()
    assert status["state"] == "running"
    assert {item["name"] for item in status["components"]} >= {
        "kafka",
        "namenode",
        "datanode",
        "metastore",
        "thriftserver",
        "mysql",
        "flume",
        "dagster-webserver",
    }
    assert all(
        item["state"] == "running" and item["pid"] and item["rss_mb"] and item["version"]
        for item in status["components"]
    )
    assert set(status["endpoints"]) == {
        "log_dir",
        "dagster",
        "kafka",
        "hdfs",
        "hive",
        "mysql",
        "report",
    }
    password = (stack.home / "secrets" / "mysql_reader").read_text()
    assert status["stream"]["running"]
    assert datetime.fromisoformat(status["stream"]["since"]) < datetime.now(timezone.utc)
    assert set(status["lag"]) == {"lines", "seconds"}
    assert status["mysql"]["age_seconds"] is None or status["mysql"]["age_seconds"] >= 0
    assert 0 < status["disk"]["free_bytes"] < status["disk"]["total_bytes"]
    assert status["table_services"] is not None
    assert status["unanswered"] == {}
    assert password not in str(status)
    assert password in stack.status("--secrets")["endpoints"]["mysql"]


def test_each_line_is_counted_once(stack: Stack) -> None:
    before = stack.verified()
    stack.qimo(
        "feed",
        "--lines",
        "20000",
        "--days",
        "3",
        "--bad",
        "0.02",
        "--late",
        "0.02",
        "--repeat",
        "0.02",
        "--seed",
        "1",
    )
    answer = stack.verified()
    assert answer["ok"]
    assert answer["lines"] == before["lines"] + 20_000
    # Tests before this one sent lines as other producers do, and some again.
    arrived = answer["rows"] + sum(answer["quarantined"].values())
    assert answer["lines"] + answer["plain"] == arrived
    assert answer["sent_again"] == before["sent_again"]
    assert set(answer["metrics"]) == {metric.name for metric in METRICS}
    assert all(metric["ok"] and metric["rows"] for metric in answer["metrics"].values())


def test_verify_names_a_figure_that_is_wrong(stack: Stack, ask_mysql: Ask) -> None:
    [(day, hour, messages)] = ask_mysql(
        "SELECT day, hour, messages FROM message_hourly ORDER BY messages DESC LIMIT 1"
    )

    def of_a_wrong_figure() -> subprocess.CompletedProcess[str] | None:
        set_messages(messages + 1)
        answer = stack.qimo("verify", check=False)
        set_messages(messages)
        return answer if answer.returncode else None

    def set_messages(figure: int) -> None:
        execute(
            stack,
            f"UPDATE message_hourly SET messages = {figure} WHERE day = '{day}' AND hour = {hour}",
        )

    # A run that was still to come publishes the right figure in between; a cluster was slow enough
    # for that.
    answer = wait_for(of_a_wrong_figure)
    assert answer.returncode == 1
    assert f"{day}" in answer.stdout
    assert f"{messages + 1}" in answer.stdout


def test_the_stream_tells_the_days_it_touched(stack: Stack, ask_hive: Ask) -> None:
    days = {row[0] for row in ask_hive("SELECT DISTINCT day FROM chat_message")}
    assert {item["partition"] for item in materializations(stack, "hudi", "chat_message")} == days
    # What is said to be fresh on a quiet night names no day.
    assert {
        item["partition"]
        for item in materializations(stack, "mysql", "message_total")
        if item["partition"]
    } == days


def test_beeline_and_pyhive_read_the_views_and_their_comments(stack: Stack, ask_hive: Ask) -> None:
    printed = stack.qimo("sql", "SELECT sum(messages) AS n FROM message_total").stdout
    [(total,)] = ask_hive("SELECT sum(messages) FROM message_total")
    assert f"| {total} " in printed
    comments = {row[0]: row[2] for row in ask_hive("DESCRIBE message_total")}
    assert comments["messages"]
    assert not comments["messages"].isascii()


def test_lines_that_come_later_reach_mysql_by_themselves(stack: Stack, ask_mysql: Ask) -> None:
    [(before,)] = ask_mysql("SELECT sum(messages) FROM message_total")
    stack.qimo("feed", "--lines", "500", "--seed", "2")
    wait_for(lambda: ask_mysql("SELECT sum(messages) FROM message_total") == [(before + 500,)])
    assert stack.verified()["ok"]


def test_a_large_day_is_counted_by_what_is_new(
    stack: Stack, ask_hive: Ask, ask_mysql: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    [[newest]] = ask_mysql("SELECT max(day) FROM message_total")

    def messages() -> int:
        [(found,)] = ask_mysql(f"SELECT messages FROM message_total WHERE day = '{newest}'")
        return int(found)

    def refresh() -> list[int]:
        """Publish the day as a large one, and return the messages of its links."""
        settings = stack.settings()
        refreshes = refresh_metrics(
            [metric for metric in METRICS if not metric.looks_back],
            settings.lake.database,
            [str(newest)],
            HiveResource.from_settings(settings.hive),
            MySQLResource.from_settings(settings.mysql),
            large_day=0,
        )
        assert not [refresh.error for refresh in refreshes if refresh.error]
        links = ask_hive(
            f"SELECT messages FROM {figures.TABLE} WHERE kind = 'link' AND day = '{newest}' "
            "ORDER BY link"
        )
        return [counted for (counted,) in links]

    before = messages()
    assert refresh() == [before]
    [(all_days,)] = ask_mysql("SELECT sum(messages) FROM message_total")
    stack.qimo("feed", "--lines", "300", "--seed", "3")
    wait_for(lambda: ask_mysql("SELECT sum(messages) FROM message_total") == [(all_days + 300,)])
    # Few are held while they are read, and many are written.
    for few, links in ((counting.FEW_TO_WRITE, [before]), (0, [before, messages() - before])):
        monkeypatch.setattr(counting, "FEW_TO_WRITE", few)
        execute(stack, f"UPDATE os SET messages = messages + 1 WHERE day = '{newest}'")
        assert refresh() == links
        assert stack.verified()["ok"]


@dataclass(frozen=True)
class Backfill:
    """A backfill that a person has asked for.

    Attributes:
        id: Its id.
        days: Its days.
        before: The runs that had materialized just these.
    """

    id: str
    days: list[str]
    before: set[str]


@pytest.fixture(scope="module")
def backfill(stack: Stack, ask_mysql: Ask) -> Backfill:
    """A range asked for in the UI; Dagster looks at it each half minute, and others test
    meanwhile.
    """
    days = [
        str(day) for (day,) in ask_mysql("SELECT day FROM message_total ORDER BY day DESC LIMIT 3")
    ][::-1]
    params = {
        "assetSelection": [{"path": ["mysql", "sender_province"]}],
        "partitionNames": days,
        "fromFailure": False,
        "title": "some days again",
    }
    before = runs_over(stack, days, "mysql", "sender_province")
    launched = stack.graphql(BACKFILL, params=params)["launchPartitionBackfill"]
    return Backfill(launched["backfillId"], days, before)


@pytest.mark.usefixtures("backfill")
def test_a_metric_is_materialized_for_a_day_and_for_a_range(stack: Stack, ask_mysql: Ask) -> None:
    days = [
        str(day) for (day,) in ask_mysql("SELECT day FROM message_total ORDER BY day DESC LIMIT 2")
    ]
    for metric, wanted, option in (
        ("sender_top", days[1:], ("--partition", days[1])),
        ("sex_pair", days, ("--partition-range", f"{days[1]}...{days[0]}")),
    ):
        before = runs_over(stack, wanted, "mysql", metric)
        stack.qimo("dagster", "asset", "materialize", "--select", f"key:mysql/{metric}", *option)
        assert len(runs_over(stack, wanted, "mysql", metric) - before) == 1


def test_a_second_live_run_is_not_let_in(stack: Stack) -> None:
    first = live_run(stack)
    params = {"selector": {**SELECTOR, "pipelineName": STREAM_JOB}, "mode": "default"}
    second = stack.graphql(LAUNCH, params=params)["launchRun"]["run"]["runId"]
    stack.qimo("feed", "--lines", "200", "--seed", "5")
    assert stack.verified()["ok"]
    states = {run["runId"]: run["status"] for run in stack.runs(STREAM_JOB)}
    assert states[first["runId"]] == "STARTED"
    assert states[second] == "QUEUED"
    stack.graphql(TERMINATE, id=second)


def test_a_stream_stopped_by_a_person_stays_stopped_and_a_catch_up_still_works(
    stack: Stack, ask_mysql: Ask
) -> None:
    stopped = live_run(stack)
    stack.graphql(TERMINATE, id=stopped["runId"])
    wait_for(lambda: not stack.runs(STREAM_JOB, *UNFINISHED))
    runs = {run["runId"] for run in stack.runs(STREAM_JOB)}
    stack.qimo("feed", "--lines", "700", "--seed", "6")
    [(today,)] = ask_mysql("SELECT max(day) FROM message_total")
    caught_up = stack.qimo(
        "dagster",
        "asset",
        "materialize",
        "--select",
        "key:hudi/chat_message or key:hudi/chat_quarantine",
        "--partition",
        str(today),
    )
    assert "RUN_SUCCESS" in caught_up.stdout + caught_up.stderr
    assert stack.verified()["ok"]
    assert {run["runId"] for run in stack.runs(STREAM_JOB)} == runs
    params = {"selector": {**SELECTOR, "pipelineName": STREAM_JOB}, "mode": "default"}
    again = stack.graphql(LAUNCH, params=params)["launchRun"]["run"]["runId"]
    assert live_run(stack)["runId"] == again


def test_a_range_is_backfilled_from_the_ui(stack: Stack, backfill: Backfill) -> None:
    wait_for(
        lambda: (
            stack.graphql(BACKFILL_STATUS, id=backfill.id)["partitionBackfillOrError"]["status"]
            == "COMPLETED_SUCCESS"
        )
    )
    made = runs_over(stack, backfill.days, "mysql", "sender_province") - backfill.before
    assert len(made) == 1


def test_up_leaves_what_runs_alone(stack: Stack) -> None:
    pids = {item["name"]: item["pid"] for item in stack.status()["components"]}
    stack.qimo("up")
    assert {item["name"]: item["pid"] for item in stack.status()["components"]} == pids


def test_a_taken_port_is_named_with_its_owner(stack: Stack) -> None:
    other = {**stack.env, "QIMO_HOME": str(stack.home / "other")}
    (stack.home / "other").mkdir()
    (stack.home / "other" / "install").symlink_to(stack.home / "install")
    second = Stack(stack.home / "other", other)
    try:
        refused = second.qimo("up", check=False)
    finally:
        second.qimo("down")
    assert refused.returncode == 1
    assert f"port {9092 + TEST_PORT_OFFSET} (kafka) is taken by process" in refused.stderr
    assert "QIMO_PORT_KAFKA" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (second.home / "data" / "mysql").exists()


def test_data_survives_down_and_up(stack: Stack) -> None:
    before = stack.verified()
    stack.qimo("down")
    state, left = stack.status()["state"], processes_of(stack)
    stack.qimo("feed", "--lines", "1000", "--seed", "7")
    # The tests after this one need the stack, whatever was found.
    stack.qimo("up")
    assert state == "stopped"
    assert left == []
    after = stack.verified()
    assert after["ok"]
    assert after["lines"] == before["lines"] + 1000
