"""What a run of metrics asks of HiveServer2: the messages that are new, once for all metrics, and
nothing left behind.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event

import dagster as dg
import pytest

from qimo_assets.metrics import accounts, figures
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.counting import (
    FEW_MESSAGES,
    FEW_TO_WRITE,
    HELD,
    MAX_AT_ONCE,
    MAX_DAYS,
    NEW,
    Counting,
)
from qimo_assets.metrics.facts import ACCOUNTS, Facts
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.links import MAX_LINKS, STAMP
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.metrics.reader import NEWEST_ENTRIES, NO_INSTANT, open_reader
from qimo_assets.metrics.recount import build_recount_check, differences
from qimo_assets.resources.hive import HiveError, Row
from qimo_assets.views import sql
from qimo_assets.views.sql import QUARANTINE_VIEW, read_sql
from qimo_assets_tests.hiveserver import ROW, FakeSession, entry, link

QUALITY = next(metric for metric in METRICS if metric.name == "data_quality")
BY_NAME = {metric.name: metric for metric in METRICS}
WITH_PARTIALS = [metric.name for metric in METRICS if metric.partial]
DAY, BEFORE, INSTANT = "2021-11-07", "2021-11-06", "20211107120000000"
OLD = "20211107110000000"
# The time in a name that is later than any of this century.
LATER = 9 * 10**19
# In what asks for the commits of days.
LOOK = "AS instant"


class Server(FakeSession):
    """A server that metrics are read from."""

    def __init__(self) -> None:
        super().__init__(INSTANT)

    def read(self, *names: str, again: bool = False, large_day: int = 0) -> dict[str, object]:
        """Return what a reader gives for these metrics, by their names."""
        with open_reader(self, "lake", large_day) as reader:  # pyright: ignore[reportArgumentType]  # the part of the resource that is used
            return {
                metric.name: rows
                for metric, _, rows in reader.read(
                    [BY_NAME[name] for name in names], [DAY], again=again
                )
            }

    def counting(self) -> Counting:
        """Return what counts in this session."""
        return Figures([self], "lake", METRICS).counting

    def add(
        self,
        number: int,
        after: str = "",
        until: str = OLD,
        day: str = DAY,
        table: str = figures.TABLE,
    ) -> str:
        """Add a link of one message, as another run does it, and return its name."""
        name = f"{number:0{STAMP}d}-aaaaaaaa-{day}"
        reached = 1 + sum(link["day"] == day for link in self.links) if after else 1
        only = ACCOUNTS if table == accounts.TABLE else ""
        catalog = Facts("lake", METRICS, only).fingerprint()
        self.links.append(link(name, day, after, until, 1, reached, catalog))
        return name


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(
    ("timeline", "instant"),
    [
        ([], NO_INSTANT),
        ([entry("3", state="INFLIGHT"), entry("2", "clean"), entry("1", "commit")], "1"),
        ([*[entry("3", "clean")] * NEWEST_ENTRIES, entry("2", "replacecommit"), entry("1")], "2"),
    ],
)
def test_the_instant_of_a_table_is_that_of_its_newest_commit(
    server: Server, timeline: list[Row], instant: str
) -> None:
    server.timeline = timeline
    with open_reader(server, "lake", 0) as reader:  # pyright: ignore[reportArgumentType]  # as above
        assert reader.instants(["a", "b"]) == {"a": instant, "b": instant}


def test_a_day_is_counted_once_for_all_metrics(server: Server) -> None:
    assert server.read("os", "network") == {"os": [(DAY, "1", 1, 1)], "network": [(DAY, "1", 1, 1)]}
    [counted] = server.said("INSERT INTO")
    assert f"day IN ('{DAY}') AND (day = '{DAY}' AND _hoodie_commit_time > '' AND " in counted
    assert {name.partition(".")[0] for name in server.sets} == {
        metric.name for metric in METRICS if not metric.looks_back
    }
    assert server.read("os") == {"os": [(DAY, "1", 1, 1)]}
    assert len(server.said("INSERT INTO")) == 1
    # The messages are read once for all metrics.
    assert counted.count("FROM lake.chat_message_") == 1


@pytest.mark.parametrize("large_day", [0, 1000])
@pytest.mark.parametrize(
    ("log_files", "refused", "reading"),
    [(set(), "", "_ro"), ({DAY}, "", "_rt"), (set(), "show_fsview_latest", "_rt")],
)
def test_a_day_is_read_from_base_files_where_no_row_stands_elsewhere(
    server: Server, large_day: int, log_files: set[str], refused: str, reading: str
) -> None:
    server.log_files, server.refused = log_files, refused
    server.read("os", "active_user", large_day=large_day)
    tables = {
        table
        for text in server.statements
        if "_hoodie_commit_time" in text
        for table in re.findall(r"FROM lake\.chat_message(\w*)", text)
    }
    assert tables == {reading}


def test_a_setting_of_the_catalog_leaves_a_metric_the_one_that_it_is(server: Server) -> None:
    own = replace(BY_NAME["sender_top"], late_minutes=7)
    [([(_, rows)], _)] = Figures([server], "lake", METRICS).read([own], [DAY])
    assert rows == [(DAY, 1, "1", "1", 1)]


def test_who_asks_for_a_day_again_has_it_counted_from_the_beginning(server: Server) -> None:
    server.read("os")
    server.read("os", again=True)
    assert [link["after"] for link in server.links] == ["", ""]


@pytest.mark.parametrize("messages", [999, 1000])
def test_a_small_day_is_read_and_a_large_one_is_counted(server: Server, messages: int) -> None:
    server.messages = {DAY: messages}
    assert server.read("os", "data_quality", large_day=1000) == {
        "os": [(DAY, "1", 1, 1)],
        "data_quality": [tuple({**ROW, "day": DAY}[column.name] for column in QUALITY.columns)],
    }
    assert len(server.said("INSERT INTO")) == (messages == 1000)
    assert bool(server.said("CREATE TABLE")) is (messages == 1000)
    # Whatever comes meanwhile, all metrics of a small day are made from the same messages.
    small = f"day = '{DAY}' AND _hoodie_commit_time > '' AND _hoodie_commit_time <= '{INSTANT}'"
    kept = server.said("CREATE GLOBAL TEMPORARY VIEW")
    assert [small in text for text in kept] == [True] * (messages == 999)
    assert len(server.said("DROP VIEW IF EXISTS global_temp.cached_message")) == len(kept)


@pytest.mark.parametrize("large_day", [0, 1000])
def test_the_commits_of_a_day_are_looked_at_once(server: Server, large_day: int) -> None:
    for table in (figures.TABLE, accounts.TABLE):
        server.add(1, table=table)
    server.messages = {DAY: 2}
    server.read("os", "active_user", large_day=large_day)
    assert len([text for text in server.statements if LOOK in text]) == 1


def test_a_day_that_another_run_has_counted_since_the_look_is_looked_at_again(
    server: Server,
) -> None:
    root = server.add(1)
    server.messages = {DAY: 2}

    def counted_by_another() -> None:
        server.instant = f"{INSTANT}9"
        server.add(2, root, server.instant)

    server.before = {"SELECT day, link": counted_by_another}
    server.sets = {"os.senders"}
    assert server.read("os") == {"os": [(DAY, "1", 1, 1)]}
    assert not server.said("INSERT INTO")


def test_one_metric_of_a_small_day_is_read_without_a_copy(server: Server) -> None:
    server.read("os", large_day=1000)
    [query] = server.said("WITH")
    assert "FROM (SELECT day, sender_account, sender_os FROM (SELECT" in query
    assert not server.said("CACHE")


def test_a_copy_that_cannot_be_kept_is_dropped(server: Server) -> None:
    server.refused = "CACHE TABLE"
    with pytest.raises(HiveError):
        server.read("os", "network", large_day=1000)
    assert server.said("DROP VIEW IF EXISTS global_temp.cached_message")


@pytest.mark.parametrize(("age", "is_dropped"), [(7_100, False), (7_300, True)])
def test_a_copy_that_a_killed_run_left_is_dropped(
    server: Server, age: int, is_dropped: bool
) -> None:
    name = f"cached_message_{int(time.time()) - age}_12345678"
    server.kept = [name]
    server.read("os", "network", large_day=1000)
    assert (f"DROP VIEW IF EXISTS global_temp.{name}" in server.statements) is is_dropped


def test_small_and_large_days_come_apart(server: Server) -> None:
    server.messages = {BEFORE: 1, DAY: 1000}
    with open_reader(server, "lake", 1000) as reader:  # pyright: ignore[reportArgumentType]  # as above
        found = [
            (list(days), rows) for _, days, rows in reader.read([BY_NAME["os"]], [BEFORE, DAY])
        ]
    assert sorted(found) == [
        ([BEFORE], [(BEFORE, "1", 1, 1)]),
        ([DAY], [(DAY, "1", 1, 1)]),
    ]


def test_a_day_without_messages_has_the_lines_that_were_refused(server: Server) -> None:
    server.messages = {DAY: 0}
    server.read("data_quality", large_day=1000)
    [query] = server.said("WITH")
    assert f"day = '{DAY}' AND _hoodie_commit_time > '' AND _hoodie_commit_time <= ''" in query


def test_a_metric_that_does_not_add_up_is_asked_of_its_view(server: Server) -> None:
    metric = replace(BY_NAME["os"], name=QUARANTINE_VIEW)
    with open_reader(server, "lake", 0) as reader:  # pyright: ignore[reportArgumentType]  # as above
        [(_, _, rows)] = list(reader.read([metric], [DAY]))
    assert rows == [(DAY, "1", 1, 1)]
    assert server.said("INSERT INTO") == server.said("CREATE") == []
    [asked] = server.said("SELECT")
    assert f"FROM lake.{QUARANTINE_VIEW}" in asked


def test_ages_and_rankings_are_made_from_what_is_counted(server: Server) -> None:
    assert set(server.read("data_quality", "sender_top")) == {"data_quality", "sender_top"}
    views = server.said("WITH")
    assert [name for view in views for name in ("v_message", "percentile") if name in view] == []
    ages, top = views
    assert "element_at(split(member, '\\u0001'), 1), '') AS BIGINT) AS age," in ages
    assert "lake.chat_quarantine_rt" in ages
    assert "latest" not in ages
    assert "2), '') AS STRING) AS nickname," in top
    # Before the ranking sorts it.
    assert "SELECT day, member, max(latest) AS latest, sum(messages) AS messages" in top


def test_sums_of_cells_do_not_wait_for_other_figures(server: Server) -> None:
    came, waited = Event(), list[bool]()
    server.before = {"WITH `data_quality`": lambda: waited.append(came.wait(10))}
    with open_reader(server, "lake", 0) as reader:  # pyright: ignore[reportArgumentType]  # as above
        rows = reader.read([BY_NAME["data_quality"], BY_NAME["os"]], [DAY])
        assert next(rows) == (BY_NAME["os"], [DAY], [(DAY, "1", 1, 1)])
        came.set()
        assert [metric.name for metric, _, _ in rows] == ["data_quality"]
    assert waited == [True]


def test_rankings_and_ages_are_asked_at_once(server: Server) -> None:
    """Each waits here for all of them."""
    asked = [f"WITH `{name}`" for name in WITH_PARTIALS]
    all_asked = Barrier(len(asked), timeout=10)
    server.before = dict.fromkeys(asked, all_asked.wait)
    assert set(server.read("os", *WITH_PARTIALS)) == {"os", *WITH_PARTIALS}
    assert not all_asked.broken


def test_new_accounts_are_read_until_they_are_many(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = f"day = '{DAY}' AND _hoodie_commit_time > '{{}}' AND _hoodie_commit_time <= '{INSTANT}'"
    server.messages = {DAY: 2}
    server.read("os", "active_user", large_day=1000)
    assert not server.said("INSERT INTO")
    [first] = server.said("WITH `active_user`")
    assert new.format("") in first
    assert "SELECT DISTINCT day, sender_account" in first
    assert "v_message" not in first
    server.add(1, table=accounts.TABLE)
    server.read("active_user")
    *_, second = server.said("WITH `active_user`")
    assert new.format(OLD) in second
    assert f"link IN ('{server.links[0]['link']}')" in second
    monkeypatch.setattr(accounts, "MAX_UNCOUNTED", 0)
    server.read("active_user")
    *_, third = server.said("WITH `active_user`")
    assert "_hoodie_commit_time" not in third
    assert server.links[1]["link"] in third


def test_of_the_days_around_only_those_are_read_that_have_other_messages(server: Server) -> None:
    days = ["2021-11-04", "2021-11-05", BEFORE, DAY]
    for day in days:
        server.add(1, day=day, table=accounts.TABLE, until=INSTANT)
    server.messages = {**dict.fromkeys(days, 1), "2021-11-05": 3}
    server.read("active_user")
    looked_at = [text for text in server.statements if LOOK in text]
    assert [[day for day in days if day in text] for text in looked_at] == [["2021-11-05", DAY]]
    assert not server.said("INSERT INTO")
    # A day without a partition in the lake counts no more.
    server.messages["2021-11-04"] = 0
    server.read("active_user")
    gone = [link for link in server.links[4:] if link["day"] == "2021-11-04"]
    assert [(link["after"], link["messages"]) for link in gone] == [("", 0)]


def test_the_accounts_of_many_days_are_counted_once(server: Server) -> None:
    days = [f"2021-10-{day:02d}" for day in range(1, MAX_DAYS + 2)]
    server.messages = dict.fromkeys(days, 1)
    server.read("active_user")
    assert {link["day"] for link in server.links} == {*days, DAY}
    server.read("active_user")
    assert len(server.links) == len(days) + 1


def test_accounts_that_a_person_asks_for_replace_those_that_are_counted(server: Server) -> None:
    server.read("active_user", again=True)
    assert not server.links
    server.add(1, table=accounts.TABLE, until=INSTANT)
    server.read("active_user", again=True)
    assert [link["after"] for link in server.links] == ["", ""]


def test_a_metric_that_is_refused_comes_as_its_error(server: Server) -> None:
    server.refused = "WITH `sender_top`"
    found = server.read("sender_top", "network")
    assert isinstance(found["sender_top"], HiveError)
    assert found["network"] == [(DAY, "1", 1, 1)]


@pytest.mark.parametrize("refused", [f"CACHE TABLE global_temp.{HELD}", f"CACHE TABLE {NEW}"])
def test_new_messages_that_cannot_be_counted_are_not_left_behind(
    server: Server, refused: str
) -> None:
    server.add(1)
    server.messages[DAY] = 2
    server.refused = refused
    assert isinstance(server.read("os")["os"], HiveError)
    assert len(server.said(f"CREATE OR REPLACE TEMPORARY VIEW {NEW}")) == 1
    assert len(server.said(f"DROP VIEW IF EXISTS {NEW}")) == 1
    assert not server.views


def test_a_link_that_cannot_be_written_leaves_nothing_behind(server: Server) -> None:
    server.add(1)
    server.messages[DAY] = 2
    server.refused = "INSERT INTO"
    with pytest.raises(HiveError):
        server.counting().bring_up_to_date([DAY])
    assert len(server.said(f"CREATE OR REPLACE TEMPORARY VIEW {NEW}")) == 1
    assert len(server.said(f"DROP VIEW IF EXISTS {NEW}")) == 1


def test_few_new_messages_are_counted_each_time_and_not_written(server: Server) -> None:
    root = server.add(1)
    server.messages[DAY] = 2
    server.sets = {"os.senders"}
    for _ in range(2):
        assert server.read("os", "sender_top").keys() == {"os", "sender_top"}
    assert not server.said("INSERT INTO")
    assert [link["link"] for link in server.links] == [root]
    # Each reading has them beside what is written.
    [cells, _], [top, _] = server.said("SELECT day, set_name, cell"), server.said("WITH `sender")
    [view, _] = server.said("CREATE GLOBAL TEMPORARY VIEW held_link")
    [stem] = re.findall(r"concat\('(\S+)-', day\) AS link", view)
    for query in (cells, top):
        assert re.search(
            r"FROM lake\.chat_figure UNION ALL\s+SELECT .* FROM global_temp\.held", query
        )
        assert f"link IN ('{root}', '{stem}-{DAY}')" in query
    assert not server.views


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_held_link_of_many_messages_is_written_once_its_rows_are_read(
    server: Server, is_refused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    root = server.add(1)
    server.messages[DAY] = FEW_TO_WRITE + 1
    server.refused = "INSERT INTO" if is_refused else ""
    server.sets = {"os.senders"}
    assert server.read("os", "sender_top")["os"] == [(DAY, "1", 1, 1)]
    [written] = server.said("INSERT INTO")
    assert "FROM global_temp.held_link" in written
    *_, ranking, last = [
        text for text in server.said("") if text.lstrip().startswith(("WITH", "INSERT"))
    ]
    assert ("`sender_top`" in ranking, last) == (True, written)
    assert [link["after"] for link in server.links] == ["", *([] if is_refused else [root])]
    assert ("not written" in caplog.text) is is_refused
    assert not server.views


def test_links_that_were_put_together_while_one_was_held_are_counted_again(server: Server) -> None:
    name = server.add(1)
    server.messages[DAY] = 2
    server.sets = {"os.senders"}

    def put_together() -> None:
        server.links[0]["link"] = f"{name}+1"
        server.timeline.insert(0, entry(str(LATER), "replacecommit"))

    server.before = {"SELECT day, set_name, cell": put_together}
    assert server.read("os") == {"os": [(DAY, "1", 1, 1)]}
    first, second = server.said("CREATE GLOBAL TEMPORARY VIEW held_link")
    assert f"'{DAY}', '{name}'" in first
    assert f"'{DAY}', '{name}+1'" in second
    _, again = server.said("SELECT day, set_name, cell")
    assert len(re.findall(r"FROM global_temp\.held", again)) == 1
    assert not server.views


def test_a_recount_has_all_links_written(server: Server) -> None:
    server.add(1)
    server.messages[DAY] = 2
    server.sets = {"os.senders"}
    differences(server, "lake", DAY, 0)  # pyright: ignore[reportArgumentType]  # as above
    assert len(server.said("INSERT INTO")) == 1


def test_the_table_may_be_made_by_two_at_once(server: Server) -> None:
    def is_made() -> None:
        server.refused = ""

    server.refused = "CREATE TABLE"
    server.before = {"CREATE TABLE": lambda: server.before.update({"CREATE TABLE": is_made})}
    server.counting().open()
    assert len(server.said("CREATE TABLE")) == 2


def test_a_table_of_an_earlier_release_gets_its_columns_once(server: Server) -> None:
    def is_altered() -> None:
        server.columns += ["hash", "other_hash"]

    server.columns = ["link"]
    # Another run adds them in the same moment.
    server.refused = "ALTER TABLE"
    server.before = {"ALTER TABLE": is_altered}
    for _ in range(2):
        server.counting().open()
    assert len(server.said("ALTER TABLE lake.chat_figure ADD COLUMNS")) == 1


def test_columns_that_cannot_be_added_are_an_error(server: Server) -> None:
    server.columns, server.refused = ["link"], "ALTER TABLE"
    with pytest.raises(HiveError):
        server.counting().open()


def test_each_day_of_a_statement_has_a_link_of_its_own(server: Server) -> None:
    server.counting().bring_up_to_date([BEFORE, DAY])
    [statement] = server.said("INSERT INTO")
    assert "concat('" in statement
    assert [link["link"].partition("-2021")[2] for link in server.links] == ["-11-06", "-11-07"]


def test_of_two_runs_that_add_to_a_day_each_reads_its_own_and_the_next_one_of_both(
    server: Server,
) -> None:
    server.add(1, day=BEFORE)
    root = server.add(1)
    server.messages = {BEFORE: 2, DAY: 2}
    others: list[str] = []
    server.before = {"INSERT INTO": lambda: others.append(server.add(LATER, root, INSTANT))}
    counted = server.counting().bring_up_to_date([BEFORE, DAY])
    [_, mine] = counted[DAY].names
    assert mine[:-2] == counted[BEFORE].last[:-2]
    next_one = server.counting().bring_up_to_date([BEFORE, DAY])
    assert next_one[DAY].names == [root, *others]
    assert [link.name for link in next_one[DAY].left_out] == [mine]
    assert next_one[BEFORE] == counted[BEFORE]
    assert len(server.said("INSERT INTO")) == 1


def test_after_a_run_that_won_with_less_the_next_one_counts_the_rest(server: Server) -> None:
    server.add(1)
    server.messages[DAY] = 3
    server.before = {"INSERT INTO": lambda: server.add(LATER)}
    for _ in range(2):
        counted = server.counting().bring_up_to_date([DAY])
        assert (counted[DAY].until, counted[DAY].messages) == (INSTANT, 3)
    assert len(server.said("INSERT INTO")) == 2


# And a table that was made anew has none of its entries.
@pytest.mark.parametrize("action", ["replacecommit", "restore", ""])
@pytest.mark.parametrize(
    ("query", "cells"), [("SELECT day, set_name, cell", 2), ("WITH `sender_top`", 1)]
)
def test_links_that_were_put_together_while_they_were_read_are_read_again(
    server: Server, action: str, query: str, cells: int
) -> None:
    name = server.add(1)
    server.sets = {"os.senders"}

    def put_together() -> None:
        server.links[0]["link"] = f"{name}+1"
        server.timeline = [entry(str(LATER), action), *server.timeline] if action else []

    server.before = {query: put_together}
    found = server.read("os", "sender_top")
    assert found == {"os": [(DAY, "1", 1, 1)], "sender_top": [(DAY, 1, "1", "1", 1)]}
    assert len(server.said("SELECT day, set_name, cell")) == cells
    first, second = server.said(query)[:2] if cells == 2 else server.said(query)
    assert f"link IN ('{name}')" in first
    assert f"link IN ('{name}+1')" in second


def test_links_are_asked_for_once_where_others_only_add_to_them(server: Server) -> None:
    root = server.add(1)
    server.sets = {"os.senders"}

    def added() -> None:
        server.add(LATER, root, INSTANT)
        server.timeline.insert(0, entry(str(LATER), "commit"))

    server.before = {"SELECT day, set_name, cell": added}
    assert server.read("os") == {"os": [(DAY, "1", 1, 1)]}
    assert len(server.said("SELECT day, link")) == 1


@pytest.fixture
def many(server: Server) -> Server:
    """A server with a day of many links, of which all is counted."""
    last = server.add(0)
    for number in range(1, MAX_LINKS + 1):
        last = server.add(number, last, f"{OLD}{number:03d}")
    server.messages[DAY] = MAX_LINKS + 1
    server.instant = f"{OLD}{MAX_LINKS:03d}"
    server.sets = {"os.senders"}
    return server


def test_links_are_put_together_after_the_rows_are_published(many: Server) -> None:
    with open_reader(many, "lake", 0) as reader:  # pyright: ignore[reportArgumentType]  # as above
        rows = reader.read([BY_NAME["os"]], [DAY])
        assert next(rows) == (BY_NAME["os"], [DAY], [(DAY, "1", 1, 1)])
        assert not many.said("INSERT OVERWRITE")
        assert list(rows) == []
    [merged] = many.said("INSERT OVERWRITE")
    # Accounts and members stand once: there is nothing to group.
    assert len(re.findall(r"GROUP BY", merged)) == 2
    assert "GROUP BY day, kind, set_name, member" in merged


def test_links_that_cannot_be_put_together_count_as_they_are(
    many: Server, caplog: pytest.LogCaptureFixture
) -> None:
    many.refused = "INSERT OVERWRITE"
    with caplog.at_level(logging.WARNING):
        assert many.read("os") == {"os": [(DAY, "1", 1, 1)]}
    assert "not put together" in caplog.text


def test_recent_links_are_put_together_without_what_stands_before_them(many: Server) -> None:
    many.links[0]["messages"] = 1_000_000
    root = many.links[0]["link"]
    many.counting().merge(DAY)
    [merged] = many.said("INSERT OVERWRITE")
    assert merged.count(f"'{root}'") == 2
    assert f"'{root}' AS after" in merged
    assert f"part = 'recent' AND link IN ('{root}')" in merged
    # Nothing is written to other parts, and none is read.
    assert merged.count(", day, 'recent'\n") == 3
    assert "startswith" not in merged


def test_recent_links_of_many_messages_get_parts_of_their_own(many: Server) -> None:
    many.links[-1]["messages"] = FEW_MESSAGES
    many.counting().merge(DAY)
    [merged] = many.said("INSERT OVERWRITE")
    assert merged.count(", day, concat(kind, '1')\n") == 3
    assert re.search(r"'\d+-a+-2021-11-07\+\w{8}\.1' AS link", merged)
    assert not many.said("ALTER TABLE")


def test_a_day_is_put_together_as_a_whole_where_an_earlier_root_is_removed(many: Server) -> None:
    """And so are the parts of the links that went with it."""
    root = many.links[0]
    root["messages"] = FEW_MESSAGES
    many.links += [
        {**root, "link": "0", "messages": FEW_MESSAGES + 1},
        {**root, "link": "1+1.3", "after": "0"},
    ]
    many.counting().merge(DAY)
    [merged] = many.said("INSERT OVERWRITE")
    assert merged.count(", day, kind\n") == 3
    assert merged.count("startswith") == 3
    [removed] = many.said("ALTER TABLE")
    assert re.findall(r"part = '(\w+)'", removed) == ["cell3", "partial3", "member3"]


def test_a_day_that_became_small_keeps_no_part_of_its_earlier_root(server: Server) -> None:
    server.add(1)
    server.links.append({**server.links[0], "link": "0", "messages": FEW_MESSAGES + 1})
    server.counting().merge(DAY)
    [merged] = server.said("INSERT OVERWRITE")
    assert merged.count(", day, 'recent'\n") == 3
    [removed] = server.said("ALTER TABLE")
    assert re.findall(r"part = '(\w+)'", removed) == ["cell", "partial", "member"]


def test_many_new_messages_are_counted_in_bounded_statements(server: Server) -> None:
    server.messages = {BEFORE: MAX_AT_ONCE, DAY: MAX_AT_ONCE}
    server.counting().bring_up_to_date([BEFORE, DAY])
    assert len(server.said("INSERT INTO")) == 2
    assert not server.said("CACHE")


def test_few_new_messages_are_handed_to_each_task(server: Server) -> None:
    for day, messages in ((BEFORE, FEW_MESSAGES + 2), (DAY, 2)):
        server.add(1, day=day)
        server.messages[day] = messages
    server.counting().bring_up_to_date([BEFORE])
    assert not server.said("CACHE")
    server.counting().bring_up_to_date([DAY])
    large, small = server.said("INSERT INTO")
    assert ("BROADCAST" in large, "BROADCAST" in small) == (False, True)


def test_a_server_that_keeps_listings_is_told_to_look_again(server: Server) -> None:
    counting = server.counting()
    counting.counted([DAY])
    assert server.said("REFRESH TABLE") == ["REFRESH TABLE lake.chat_figure"]
    counting.open()
    counting.counted([DAY])
    assert len(server.said("REFRESH TABLE")) == 1


def test_replaced_files_stay_for_longer_than_a_statement_takes() -> None:
    options = dict(re.findall(r"'(hoodie\.\S+)' = '(\d+)'", read_sql(SQL_DIR / "figure_table.sql")))
    retained, least, most = (
        int(options[f"hoodie.{name}"])
        for name in ("clean.commits.retained", "keep.min.commits", "keep.max.commits")
    )
    # A commit every five seconds, for the 300 s of a statement.
    assert 60 < retained < least < most


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics.facts.SQL_SEPARATOR", "|"),
        ("views.sql.UNKNOWN", "?"),
    ],
)
def test_what_is_counted_in_another_way_is_counted_anew(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Facts("lake", METRICS).fingerprint()
    assert Facts("other", METRICS).fingerprint() == before
    monkeypatch.setattr(f"qimo_assets.{name}", value)
    assert Facts("lake", METRICS).fingerprint() != before


@pytest.mark.parametrize("added", ["-- Said.", "WHERE true"])
@pytest.mark.parametrize(
    "path", [sql.SQL_DIR / "v_message.sql", SQL_DIR / "facts.sql", SQL_DIR / "count.sql"]
)
def test_other_sql_counts_anew_and_another_comment_does_not(
    added: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Facts("lake", METRICS).fingerprint()

    def changed(wanted: Path) -> str:
        text = read_sql(wanted)
        return text.replace("\nFROM", f"\n{added}\nFROM", 1) if wanted == path else text

    for module in ("views.sql", "metrics.facts"):
        monkeypatch.setattr(f"qimo_assets.{module}.read_sql", changed)
    sql._template.cache_clear()
    after = Facts("lake", METRICS).fingerprint()
    sql._template.cache_clear()
    assert (after == before) is added.startswith("--")


def test_the_order_of_a_grain_is_part_of_what_is_counted() -> None:
    pair = BY_NAME["sex_pair"]
    turned = replace(pair, grain=pair.grain[::-1])
    assert Facts("lake", [pair]).fingerprint() != Facts("lake", [turned]).fingerprint()


def test_yesterday_is_held_against_its_views(server: Server) -> None:
    assert differences(server, "lake", DAY, 0) == []  # pyright: ignore[reportArgumentType]  # as above
    assert not server.said("WITH `active_user`")
    server.sets.discard("os.senders")
    server.add(1, table=accounts.TABLE, until=INSTANT)
    server.others = 2
    assert differences(server, "lake", DAY, 0) == [  # pyright: ignore[reportArgumentType]  # as above
        "2 accounts are not counted, or did not send",
        f"os: {(DAY, '1', 1, 1)} is not counted",
    ]


def test_figures_that_were_counted_again_between_two_readings_are_compared_again(
    server: Server,
) -> None:
    server.read("os")
    name = server.links[0]["link"]
    server.sets.discard("os.senders")

    def put_together() -> None:
        server.links[0]["link"] = f"{name}+1"
        server.timeline.insert(0, entry(str(LATER), "replacecommit"))
        server.sets.add("os.senders")

    server.before = {"WITH `sender_top`": put_together}
    assert differences(server, "lake", DAY, 0) == []  # pyright: ignore[reportArgumentType]  # as above


def test_the_nightly_check_names_what_differs(server: Server) -> None:
    check = build_recount_check("lake", 0, lambda: "2021-11-08")
    right = check(server)
    server.sets.discard("os.senders")
    wrong = check(server)
    assert isinstance(right, dg.AssetCheckResult)
    assert isinstance(wrong, dg.AssetCheckResult)
    assert (right.passed, right.metadata["day"].value) == (True, DAY)
    assert (wrong.passed, wrong.metadata["found"].value) == (False, 1)
    assert wrong.severity == dg.AssetCheckSeverity.ERROR


def test_a_day_that_changes_while_it_is_recounted_is_a_warning(server: Server) -> None:
    def differs() -> None:
        server.sets.discard("os.senders")
        server.before |= {"SELECT day, set_name": differs}

    def grows() -> None:
        server.messages[DAY] = server.messages.get(DAY, 1) + 1
        server.before |= {"SELECT `day`": grows}

    server.before = {"SELECT day, set_name": differs, "SELECT `day`": grows}
    changed = build_recount_check("lake", 0, lambda: "2021-11-08")(server)
    assert isinstance(changed, dg.AssetCheckResult)
    assert (changed.passed, changed.severity) == (False, dg.AssetCheckSeverity.WARN)
