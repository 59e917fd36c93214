"""What a run of metrics asks of HiveServer2: the messages that are new, once for all metrics, and
nothing left behind.
"""

from __future__ import annotations

import dagster as dg
import pytest

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.figures import KEPT
from qimo_assets.metrics.recount import build_recount_check, differences
from qimo_assets.metrics.source import open_reader
from qimo_assets.resources.hive import HiveError
from qimo_assets_tests.hiveserver import FakeSession

BY_NAME = {metric.name: metric for metric in METRICS}
DAY, INSTANT = "2021-11-07", "20211107120000000"


class Server(FakeSession):
    """A server that metrics are read from."""

    def __init__(self) -> None:
        super().__init__(INSTANT)

    def read(self, *names: str, again: bool = False) -> dict[str, object]:
        """Return what a reader gives for these metrics, by their names."""
        with open_reader(self, "lake") as reader:  # pyright: ignore[reportArgumentType]  # the part of the resource that is used
            return {
                metric.name: rows
                for metric, rows in reader.read(
                    [BY_NAME[name] for name in names], [DAY], again=again
                )
            }


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_day_is_counted_once_for_all_metrics(server: Server) -> None:
    assert server.read("os", "network") == {"os": [(DAY, "1", 1, 1)], "network": [(DAY, "1", 1, 1)]}
    [counted] = server.said("INSERT INTO")
    assert f"day = '{DAY}' AND _hoodie_commit_time > '' AND _hoodie_commit_time <= '{INSTANT}'" in (
        counted
    )
    assert {name.partition(".")[0] for name in server.sets} == {
        metric.name for metric in METRICS if "messages" in (c.name for c in metric.measures)
    } - {"sender_top", "receiver_top"}
    assert server.read("os") == {"os": [(DAY, "1", 1, 1)]}
    assert len(server.said("INSERT INTO")) == 1


def test_who_asks_for_a_day_again_has_it_counted_from_the_beginning(server: Server) -> None:
    server.read("os")
    server.read("os", again=True)
    assert [link["after"] for link in server.links] == ["", ""]


def test_a_metric_that_does_not_add_up_is_asked_of_its_view(server: Server) -> None:
    assert set(server.read("data_quality")) == {"data_quality"}
    assert server.said("INSERT INTO") == server.said("CREATE") == []
    [asked] = server.said("SELECT")
    assert "FROM lake.data_quality" in asked


def test_a_metric_of_many_days_is_made_from_the_accounts_of_each_day(server: Server) -> None:
    assert set(server.read("os", "active_user")) == {"os", "active_user"}
    [view] = server.said("CREATE OR REPLACE TEMPORARY VIEW `active_user`")
    assert "SELECT CAST(day AS DATE) AS day, member AS sender_account" in view
    assert "v_message" not in view


def test_a_metric_that_is_refused_comes_as_its_error(server: Server) -> None:
    server.refused = "VIEW `sender_top`"
    found = server.read("sender_top", "network")
    assert isinstance(found["sender_top"], HiveError)
    assert found["network"] == [(DAY, "1", 1, 1)]


@pytest.mark.parametrize("refused", ["INSERT INTO", "CACHE TABLE"])
def test_new_messages_that_cannot_be_counted_are_not_left_behind(
    server: Server, refused: str
) -> None:
    server.read("os")
    server.links[0]["until"], server.links[0]["messages"] = "20211107000000000", 1
    server.grown = True
    server.refused = refused
    assert isinstance(server.read("os")["os"], HiveError)
    kept = server.said(f"CREATE GLOBAL TEMPORARY VIEW {KEPT}")
    dropped = server.said(f"DROP VIEW IF EXISTS global_temp.{KEPT}")
    assert len(kept) == len(dropped) == 1


def test_yesterday_is_held_against_its_views(server: Server) -> None:
    assert differences(server, "lake", DAY) == []
    server.sets.discard("os.senders")
    assert differences(server, "lake", DAY) == [f"os: {(DAY, '1', 1, 1)} is not counted"]


def test_a_day_that_changes_while_it_is_recounted_says_nothing(server: Server) -> None:
    server.grown = True
    assert differences(server, "lake", DAY) is None


def test_the_nightly_check_names_what_differs(server: Server) -> None:
    check = build_recount_check("lake", lambda: "2021-11-08")
    right = check(server)
    server.sets.discard("os.senders")
    wrong = check(server)
    assert isinstance(right, dg.AssetCheckResult)
    assert isinstance(wrong, dg.AssetCheckResult)
    assert (right.passed, right.metadata["day"].value) == (True, DAY)
    assert (wrong.passed, wrong.metadata["found"].value) == (False, 1)
