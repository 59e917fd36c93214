"""The catalog and the .sql files agree, and what they describe can be rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from qimo_assets.automation.backoff import RestsAfterRun
from qimo_assets.automation.lateness import DueDays
from qimo_assets.contract import Reason
from qimo_assets.metrics.assets import build_metric_assets
from qimo_assets.metrics.catalog import COUNT, METRICS, TEXT_LENGTH, TOTAL, Metric
from qimo_assets.metrics.checks import ADDS_UP, INVARIANTS
from qimo_assets.metrics.facts import ACCOUNT_DAYS, ACCOUNTS, FACTS, PARTIAL, Facts
from qimo_assets.metrics.freshness import CHECK
from qimo_assets.metrics.mask import mask_account
from qimo_assets.metrics.page import markdown_table, pictures
from qimo_assets.metrics.publish import PublicationError, checksum, publish, shorten
from qimo_assets.metrics.refresh import masked
from qimo_assets.metrics.specs import metric_key
from qimo_assets.views.assets import build_view_assets
from qimo_assets.views.sql import (
    BASE_FILES,
    MESSAGE_VIEW,
    QUARANTINE_VIEW,
    declared_columns,
    has_part,
    lake_tables,
    message_columns,
    message_rows,
    query_over,
    reads,
    view_description,
    view_names,
    view_part,
    view_statement,
)

BY_NAME = {metric.name: metric for metric in METRICS}


def test_each_metric_has_its_view_and_each_view_but_those_of_the_tables_its_metric() -> None:
    assert view_names()[0] == MESSAGE_VIEW
    assert set(view_names()) - {MESSAGE_VIEW, QUARANTINE_VIEW} == set(BY_NAME)
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_view_has_the_columns_of_the_catalog_in_order(metric: Metric) -> None:
    assert list(declared_columns(view_statement(metric.name, "lake"))) == [
        *(column.name for column in metric.columns),
        *metric.plain_names,
    ]


# What MySQL 9, MariaDB 11, Spark with ANSI's keywords, or Hive 3 takes for a name only in quotes:
# of each list the words that a column of ours might be called.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
    account_lock add all alter analyze and array as asc before between binary both by call case
    change char character check collate column condition constraint continue convert create cross
    cube cume_dist current_date current_time current_timestamp current_user cursor database date
    day_hour day_minute day_second dec decimal default delayed delete dense_rank desc describe
    distinct div double drop dual each else empty end except exists exit explain fetch
    first_value float for force foreign from full function generated get grant group grouping
    groups having hour_minute hour_second if ignore in index inner insert int integer intersect
    interval into is join key keys kill lag last_value lateral lead leading leave left like limit
    linear lines load local localtime lock long loop manual match minus minute_second mod natural
    not nth_value ntile null numeric of offset on only optimize option or order out outer over
    overlaps parallel partition percent_rank precision primary procedure purge qualify range rank
    read reads real recursive references regexp release rename repeat replace require restrict
    return revoke right rlike row row_number rows schema select sensitive separator session_user
    set show smallint some spatial specific sql ssl start starting stored straight_join system
    table terminated then time timestamp tinyint to trailing trigger true tablesample undo union
    unique unlock unsigned update usage use user using utc_date utc_time utc_timestamp values
    varbinary varchar varying virtual when where while window with write xor zerofill
    """,
    )
)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_column_has_a_name_that_nobody_has_to_quote(metric: Metric) -> None:
    second = {column.name: name for name, column in metric.plain_names.items()}
    names = [second.get(column.name, column.name) for column in metric.columns]
    assert RESERVED.isdisjoint(names)
    assert len({*names, *(column.name for column in metric.columns)}) == len(names) + len(second)


@pytest.mark.parametrize("name", [MESSAGE_VIEW, QUARANTINE_VIEW])
def test_no_column_of_the_messages_has_to_be_quoted(name: str) -> None:
    assert RESERVED.isdisjoint(declared_columns(view_statement(name, "lake")))


@pytest.mark.parametrize("name", view_names())
def test_a_view_is_described_and_commented_in_chinese(name: str) -> None:
    statement = view_statement(name, "lake")
    assert f"CREATE OR REPLACE VIEW lake.{name} (" in statement
    assert re.search(r"^COMMENT '.*[\u4e00-\u9fff].*'$", statement, re.MULTILINE)
    assert all(
        re.search(r"[\u4e00-\u9fff]", comment) for comment in declared_columns(statement).values()
    )
    assert "{{" not in statement
    assert view_description(name)


def test_every_reason_is_explained_where_analysts_see_it() -> None:
    comment = declared_columns(view_statement(QUARANTINE_VIEW, "lake"))["reason"]
    assert [reason.value for reason in Reason] == re.findall(
        r"(\w+) [^,]+(?:,|$)", comment.partition(": ")[2], re.ASCII
    )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_catalog_entry_is_complete(metric: Metric) -> None:
    assert (metric.additive == "total") == (metric.name == TOTAL)
    assert metric.additive == "distinct" or "messages" in [
        column.name for column in metric.measures
    ]
    assert metric.rest >= 0
    assert 0 < metric.warn_minutes < metric.fail_minutes
    assert metric.rest or metric.looks_back < 7, (
        "a metric that reads weeks of messages at each change keeps the lake busy: give it a rest"
    )
    figures = {column.name for column in metric.measures if not column.is_text}
    assert {column.at_most for column in metric.columns if column.at_most} <= figures
    assert all(column.comment_zh and "'" not in column.comment_zh for column in metric.columns)


def test_every_asset_and_check_is_built_under_its_key() -> None:
    views, metrics = build_view_assets("lake"), build_metric_assets("lake")
    assert {key for asset in metrics for key in asset.keys} == {
        dg.AssetKey(["mysql", name]) for name in BY_NAME
    }
    assert {asset.key for asset in views} == {dg.AssetKey(["hive", name]) for name in view_names()}
    checks = {key for asset in metrics for key in asset.check_keys}
    assert {(key.asset_key.path[-1], key.name) for key in checks} == {
        (metric.name, name)
        for metric in METRICS
        for name in (*INVARIANTS, CHECK)
        if name != ADDS_UP or metric.additive == "sum"
    }
    dg.Definitions(
        assets=[*views, *metrics],
        resources={"hive": object(), "mysql": object()},
    )


PARTS = [
    (metric, part)
    for metric in METRICS
    for part in (FACTS, PARTIAL, ACCOUNT_DAYS)
    if has_part(metric.name, part)
]


@pytest.mark.parametrize(("metric", "part"), PARTS, ids=[metric.name for metric, _ in PARTS])
def test_a_query_is_the_view_over_another_part(metric: Metric, part: str) -> None:
    whole = view_statement(metric.name, "lake")
    query = query_over(metric.name, part, "lake", "SELECT * FROM counted")
    columns = ", ".join(f"`{column}`" for column in declared_columns(whole))
    assert query.startswith(f"WITH `{metric.name}` ({columns}) AS (")
    assert f"lake.{MESSAGE_VIEW}" not in query
    assert "counted" in query
    # Of the messages that are counted only the columns are kept that the views name.
    assert not re.search(rf"\*\s+FROM lake\.{MESSAGE_VIEW}", whole)


def test_what_a_metric_counts_stands_in_the_rows_that_are_counted() -> None:
    for metric, part in PARTS:
        if part == FACTS and not metric.partial:
            facts = view_part(metric.name, FACTS, "lake")
            counted = {name for column in metric.measures for name in column.of}
            assert all(
                re.search(rf"\b{name}\b", facts)
                for name in ("day", *counted, *(column.name for column in metric.grain))
            )
            assert all(column.of or column.name == "messages" for column in metric.measures)
    assert any(f"{TOTAL}.{column.name}" == ACCOUNTS for column in BY_NAME[TOTAL].measures)


def test_some_messages_are_read_as_the_view_of_all_reads_them() -> None:
    query = message_rows("lake", ["day", "hour"], "day = '2021-11-07'")
    assert query.startswith("SELECT day, hour FROM (SELECT")
    assert query.endswith("FROM lake.chat_message_rt WHERE day = '2021-11-07')")
    assert "FROM lake.chat_message_ro WHERE" in message_rows("lake", ["day"], "true", BASE_FILES)
    assert "FROM lake.chat_message_rt" in view_statement(MESSAGE_VIEW, "lake")
    assert "WHERE" not in view_statement(MESSAGE_VIEW, "lake").partition("\nAS\n")[2]


def test_of_the_messages_only_what_is_counted_is_read() -> None:
    facts = view_part("os", FACTS, "lake")
    assert message_columns([facts], "lake") == ["day", "sender_account", "sender_os"]
    assert message_columns(["SELECT day -- and hour"], "lake") == ["day"]
    counted = Facts("lake", METRICS).of_messages([])
    [columns] = re.findall(r"FROM \(SELECT ([\w, ]+) FROM \(SELECT", counted)
    assert {"sender_os", "distance"} < {*columns.split(", ")}
    assert {"message", "message_id"}.isdisjoint(columns.split(", "))


def test_a_block_that_takes_messages_away_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    part = view_part("os", FACTS, "lake")
    monkeypatch.setattr("qimo_assets.metrics.facts.view_part", lambda *_: f"{part} WHERE true")
    with pytest.raises(ValueError, match=r"os\.sql: the block facts must only select"):
        Facts("lake", [BY_NAME["os"]]).fingerprint()


def test_rows_that_are_counted_already_tell_what_the_catalog_says() -> None:
    for metric in METRICS:
        assert bool(metric.partial) is has_part(metric.name, PARTIAL)
        part = view_part(metric.name, PARTIAL, "lake") if metric.partial else ""
        assert {name for name, _ in metric.partial} <= {*re.findall(r"\w+", part)}


@pytest.mark.parametrize("text", ["", "张三", "a" * TEXT_LENGTH, "😀" * TEXT_LENGTH, "a\x00 "])
def test_a_text_that_fits_stays(text: str) -> None:
    assert shorten(text) == text


def test_long_texts_fit_and_stay_distinct() -> None:
    first, second = "a" * 5000, "a" * 5000 + "b"
    short = shorten(first)
    texts = {shorten(first), shorten(second), shorten(short), shorten(shorten(short))}
    assert len(texts) == 4
    assert {len(text) for text in texts} == {TEXT_LENGTH}


def test_the_checksum_knows_no_order_but_every_value() -> None:
    rows = [("2021-11-07", 1, "a"), ("2021-11-07", 2, "b")]
    assert checksum(rows) == checksum(rows[::-1])
    assert checksum(rows) != checksum([("2021-11-07", 1, "b"), ("2021-11-07", 2, "a")])


@pytest.mark.parametrize(
    ("row", "word"),
    [(("2021-11-08", 1, 1, 1, 1), "2021-11-08"), (("2021-11-07", None, 1, 1, 1), "NULL")],
)
def test_a_row_that_does_not_fit_is_refused_before_anything_is_written(
    row: tuple[object, ...], word: str
) -> None:
    with pytest.raises(PublicationError, match=word):
        publish(None, BY_NAME[TOTAL], ["2021-11-07"], [row], "1")  # pyright: ignore[reportArgumentType]


def test_text_cannot_break_the_sample_table() -> None:
    assert markdown_table(["a", "b"], [("x|y\n", 1)]) == "| a | b |\n| --- | --- |\n| x\\|y  | 1 |"


def test_text_is_neither_a_link_nor_an_image_nor_html_in_the_sample_table() -> None:
    hostile = "![x](http://evil/x.png) <img src=x> [y](javascript:z) `&amp;`"
    shown = markdown_table(["a"], [(hostile,)]).splitlines()[-1]
    assert (
        shown
        == r"| \!\[x\]\(http\://evil/x.png\) \<img src=x\> \[y\]\(javascript\:z\) \`\&amp;\` |"
    )


def test_the_tables_that_a_view_reads_stand_in_its_sql() -> None:
    assert reads(MESSAGE_VIEW) == ["chat_message"]
    assert reads("data_quality") == ["chat_quarantine_rt", "chat_sent_again_rt", MESSAGE_VIEW]
    assert lake_tables("os") == ["chat_message"]
    assert lake_tables("data_quality") == ["chat_message", "chat_quarantine", "chat_sent_again"]


def test_a_figure_that_a_day_may_not_have_is_published_as_null() -> None:
    quality = BY_NAME["data_quality"]
    assert [column.name for column in quality.columns if column.nullable] == ["age_p50", "age_p99"]
    # Without a connection it gets as far as the first statement, past the look at the values.
    row = ("2021-11-07", *[1] * (len(quality.measures) - 2), None, None)
    with pytest.raises(AttributeError, match="rollback"):
        publish(None, quality, ["2021-11-07"], [row], "1")  # pyright: ignore[reportArgumentType]


def test_every_measure_of_a_number_is_explained_in_both_languages() -> None:
    without = [
        (metric.name, column.name)
        for metric in METRICS
        for column in metric.measures
        if column.mysql_type == COUNT and not (column.comment_zh and column.comment_en)
    ]
    assert without == []


def test_every_reason_has_its_column() -> None:
    names = [column.name for column in BY_NAME["data_quality"].measures]
    assert [name for name in names if name.startswith("quarantined_")] == [
        f"quarantined_{reason.value}" for reason in Reason
    ]


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ("13812341234", "138****1234"),
        ("12345678", "123****5678"),
        ("1234567", "1****"),
        ("张三", "张****"),
        ("", "****"),
        ("user@example.com", "use****.com"),
    ],
)
def test_of_a_masked_account_only_its_ends_are_left(account: str, shown: str) -> None:
    assert mask_account(account) == shown


def test_accounts_are_masked_and_nothing_else() -> None:
    row = ("2021-11-07", 1, "13812341234", "张三", 5)
    assert masked(BY_NAME["sender_top"], [row]) == [("2021-11-07", 1, "138****1234", "张三", 5)]
    assert masked(BY_NAME["os"], [("2021-11-07", "13812341234", 1, 1)]) == [
        ("2021-11-07", "13812341234", 1, 1)
    ]


def records(pictures: dict[str, dg.MetadataValue]) -> list[list[object]]:
    rows = pictures["rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    return [list(record.data.values()) for record in rows.records]


def text(pictures: dict[str, dg.MetadataValue], name: str) -> list[str]:
    return str(pictures[name].value).splitlines()[2:]


def test_a_page_shows_the_newest_day_the_greatest_first() -> None:
    rows = [
        ("2021-11-06", "iOS", 9, 9),
        ("2021-11-07", "Android", 1, 1),
        ("2021-11-07", "iOS", 2, 1),
    ]
    shown = pictures(BY_NAME["os"], rows)
    assert records(shown) == [["2021-11-07", "iOS", 2, 1], ["2021-11-07", "Android", 1, 1]]
    assert text(shown, "chart") == [f"| iOS | {'█' * 16} 2 |", f"| Android | {'█' * 8} 1 |"]


def test_a_page_keeps_an_order_of_hours_and_names_the_account_of_a_rank() -> None:
    assert [
        line.split()[1]
        for line in text(
            pictures(BY_NAME["message_hourly"], [("d", 8, 1, 1, 1), ("d", 9, 5, 1, 1)]), "chart"
        )
    ] == ["8", "9"]
    assert text(pictures(BY_NAME["sender_top"], [("d", 1, "138", "张三", 5)]), "chart")[
        0
    ].startswith("| 1 138 张三 |")


def test_a_page_of_single_figures_shows_the_newest_days_and_nothing_is_drawn_of_nothing() -> None:
    rows = [(f"2021-11-{day:02}", day, 1, 1, 1) for day in range(1, 31)]
    shown = records(pictures(BY_NAME[TOTAL], rows))
    assert [shown[0][0], shown[-1][0], len(shown)] == ["2021-11-30", "2021-11-21", 10]
    assert text(pictures(BY_NAME[TOTAL], []), "chart") == []
    assert text(pictures(BY_NAME[TOTAL], [("2021-11-01", 0, 0, 0, 0)]), "chart") == [
        "| 2021-11-01 |  0 |"
    ]


def conditions(assets: list[dg.AssetsDefinition]) -> Iterator[dg.AutomationCondition[Any]]:
    """Return all conditions of some assets, with the ones inside."""
    for asset in assets:
        for spec in asset.specs:
            yield from conditions_of(spec)


def conditions_of(spec: dg.AssetSpec) -> Iterator[dg.AutomationCondition[Any]]:
    """Return the condition of an asset, and the ones inside."""
    found = [spec.automation_condition]
    while found:
        if condition := found.pop():
            yield condition
            found += condition.children


def waits(late_minutes: int | None) -> set[int]:
    """Return for how many minutes the late days of metrics wait."""
    assets = build_metric_assets("lake", late_minutes)
    return {found.minutes for found in conditions(assets) if isinstance(found, DueDays)}


def rests(rest: int | None) -> set[int]:
    """Return how many times as long as their runs metrics rest."""
    assets = build_metric_assets("lake", rest=rest)
    return {found.times for found in conditions(assets) if isinstance(found, RestsAfterRun)}


def test_the_setting_says_how_long_late_days_wait_and_else_the_catalog() -> None:
    assert waits(None) == {metric.late_minutes for metric in METRICS}
    assert waits(7) == {7}
    assert waits(0) == set()


def test_late_days_of_all_metrics_that_do_not_rest_wait_for_those_of_the_total() -> None:
    beside = {
        spec.key: list(found.beside)
        for asset in build_metric_assets("lake")
        for spec in asset.specs
        for found in conditions_of(spec)
        if isinstance(found, DueDays)
    }
    assert beside == {
        metric_key(metric.name): [] if metric.rest or metric.name == TOTAL else [metric_key(TOTAL)]
        for metric in METRICS
    }


def test_the_setting_says_how_long_a_metric_rests_and_else_the_catalog() -> None:
    assert rests(None) == {metric.rest for metric in METRICS if metric.rest}
    assert rests(1) == {1}
    assert rests(0) == set()
