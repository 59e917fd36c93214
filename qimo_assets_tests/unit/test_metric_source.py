"""What a run of metrics asks of HiveServer2: the messages once, each metric over them, and nothing
left behind.
"""

from __future__ import annotations

import time

import pytest

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.kept import LEFT_SECONDS
from qimo_assets.metrics.source import KEPT, open_reader
from qimo_assets.resources.hive import HiveError
from qimo_assets.views.sql import MESSAGE_VIEW, message_columns, reads
from qimo_assets_tests.hiveserver import FakeSession, delta_commit

BY_NAME = {metric.name: metric for metric in METRICS}
DAY = "2021-11-07"
INSTANTS = {"chat_message": "20211107120000000", "chat_quarantine": "20211107120000000"}


class Server(FakeSession):
    """A server that metrics are read from."""

    def __init__(self) -> None:
        super().__init__([delta_commit(INSTANTS["chat_message"], DAY)])

    def read(self, *names: str) -> dict[str, object]:
        """Return what a reader gives for these metrics, by their names."""
        with open_reader(self, "lake") as reader:  # pyright: ignore[reportArgumentType]  # the part of the resource that is used
            return {
                metric.name: rows
                for metric, rows in reader.read([BY_NAME[name] for name in names], [DAY], INSTANTS)
            }


@pytest.fixture
def server() -> Server:
    return Server()


def test_metrics_of_a_day_are_made_from_messages_that_are_read_once(server: Server) -> None:
    found = server.read("os", "network")
    assert found == {"os": [(DAY, "1", 1, 1)], "network": [(DAY, "1", 1, 1)]}
    [kept] = server.said("CREATE GLOBAL")
    assert kept.endswith(
        "SELECT day, sender_account, sender_os, sender_network FROM lake.v_message WHERE "
        f"day IN ('{DAY}')"
    )
    assert len(server.said("CACHE TABLE global_temp.")) == 1
    assert {statement.partition("FROM ")[2].split()[0] for statement in server.said("SELECT")} == {
        "`os`",
        "`network`",
    }
    assert server.kept == {}


@pytest.mark.parametrize("name", ["os", "data_quality"])
def test_a_metric_alone_is_asked_of_its_view(server: Server, name: str) -> None:
    assert set(server.read(name)) == {name}
    assert server.said("CREATE") == server.said("CACHE") == []
    assert {statement.partition("FROM ")[2].split()[0] for statement in server.said("SELECT")} == {
        f"lake.{name}"
    }


def test_a_metric_of_many_days_is_made_from_what_is_remembered(server: Server) -> None:
    assert set(server.read("os", "active_user")) == {"os", "active_user"}
    [digest] = server.said("CREATE GLOBAL TEMPORARY VIEW")
    assert "FROM lake.v_message WHERE day >= '2021-10-02'" in digest
    assert any(
        "FROM (SELECT DISTINCT day, sender_account FROM remembered_message)" in statement
        for statement in server.statements
    )
    assert {
        statement.partition("FROM ")[2].split()[0]
        for statement in server.statements
        if statement.startswith("SELECT")
    } == {"lake.os", "`active_user`"}


def test_what_is_remembered_is_forgotten_with_an_error(server: Server) -> None:
    server.refused = "VIEW `active_user`"
    assert isinstance(server.read("active_user")["active_user"], HiveError)
    assert (
        server.statements[-1]
        == "DROP VIEW IF EXISTS global_temp.newest_remembered_lake_sender_account"
    )


def test_a_metric_that_remembers_reads_nothing_else_of_the_messages() -> None:
    for metric in METRICS:
        if metric.remembers:
            assert message_columns([metric.name], "lake") == ["day", metric.remembers]
            assert reads(metric.name) == [MESSAGE_VIEW]


def test_a_metric_that_is_refused_comes_as_its_error(server: Server) -> None:
    server.refused = "VIEW `os`"
    found = server.read("os", "network")
    assert isinstance(found["os"], HiveError)
    assert found["network"] == [(DAY, "1", 1, 1)]
    assert server.kept == {}


def test_what_cannot_be_kept_is_not_left_behind(server: Server) -> None:
    server.refused = "CACHE TABLE"
    with pytest.raises(HiveError):
        server.read("os", "network")
    assert server.kept == {}


def test_what_a_killed_run_left_is_dropped_once_no_run_can_need_it(server: Server) -> None:
    now = int(time.time())
    young, old = f"{KEPT}_{now - 60}_aaaaaaaa", f"{KEPT}_{now - LEFT_SECONDS - 60}_bbbbbbbb"
    server.kept = {young: "", old: ""}
    server.read("os", "network")
    assert set(server.kept) == {young}
