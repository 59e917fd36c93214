"""The catalog and the .sql files agree, and what they describe can be rendered."""

from __future__ import annotations

import re

import dagster as dg
import pytest

from qimo_assets.contract import Reason
from qimo_assets.metrics.assets import build_metric_assets, build_metric_checks, markdown_table
from qimo_assets.metrics.catalog import METRICS, TEXT_LENGTH, TOTAL, Metric
from qimo_assets.metrics.publish import PublicationError, checksum, publish, shorten
from qimo_assets.views.assets import build_view_assets
from qimo_assets.views.sql import MESSAGE_VIEW, QUARANTINE_VIEW, view_description, view_names, view_statement

BY_NAME = {metric.name: metric for metric in METRICS}


def declared_columns(statement: str) -> dict[str, str]:
    """Return the columns of a CREATE VIEW statement with their comments."""
    header = statement[: re.search(r"^\)$", statement, re.MULTILINE).start()]  # pyright: ignore[reportOptionalMemberAccess]
    return dict(re.findall(r"^  (\w+) COMMENT '([^']*)'", header, re.MULTILINE))


def test_each_metric_has_its_view_and_each_view_but_those_of_the_tables_its_metric() -> None:
    assert view_names()[0] == MESSAGE_VIEW
    assert set(view_names()) - {MESSAGE_VIEW, QUARANTINE_VIEW} == set(BY_NAME)
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_view_has_the_columns_of_the_catalog_in_order(metric: Metric) -> None:
    assert list(declared_columns(view_statement(metric.name, "lake"))) == [column.name for column in metric.columns]


@pytest.mark.parametrize("name", view_names())
def test_a_view_is_described_and_commented_in_chinese(name: str) -> None:
    statement = view_statement(name, "lake")
    assert f"CREATE OR REPLACE VIEW lake.{name} (" in statement
    assert re.search(r"^COMMENT '.*[\u4e00-\u9fff].*'$", statement, re.MULTILINE)
    assert all(re.search(r"[\u4e00-\u9fff]", comment) for comment in declared_columns(statement).values())
    assert "{{" not in statement
    assert view_description(name)


def test_every_reason_is_explained_where_analysts_see_it() -> None:
    comment = declared_columns(view_statement(QUARANTINE_VIEW, "lake"))["reason"]
    assert [reason.value for reason in Reason] == re.findall(r"(\w+) [^,]+(?:,|$)", comment.partition(": ")[2], re.ASCII)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_catalog_entry_is_complete(metric: Metric) -> None:
    assert (metric.additive == "total") == (metric.name == TOTAL)
    assert metric.additive == "distinct" or "messages" in [column.name for column in metric.measures]
    assert 0 <= metric.every_minutes < metric.warn_minutes < metric.fail_minutes
    assert metric.every_minutes or metric.looks_back < 7, "a metric that reads weeks of messages at each change keeps the lake busy: give it every_minutes"
    assert all(column.comment_zh and "'" not in column.comment_zh for column in metric.columns)


def test_every_asset_and_check_is_built_under_its_key() -> None:
    views, metrics, checks = build_view_assets("lake"), build_metric_assets("lake"), build_metric_checks()
    assert {asset.key for asset in metrics} == {dg.AssetKey(["mysql", name]) for name in BY_NAME}
    assert {asset.key for asset in views} == {dg.AssetKey(["hive", name]) for name in view_names()}
    assert {key.asset_key.path[-1] for check in checks for key in check.check_keys} == {m.name for m in METRICS if m.additive == "sum"}
    dg.Definitions(assets=[*views, *metrics], asset_checks=checks, resources={"hive": object(), "mysql": object()})


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


@pytest.mark.parametrize(("row", "word"), [(("2021-11-08", 1, 1, 1, 1), "2021-11-08"), (("2021-11-07", None, 1, 1, 1), "NULL")])
def test_a_row_that_does_not_fit_is_refused_before_anything_is_written(row: tuple[object, ...], word: str) -> None:
    with pytest.raises(PublicationError, match=word):
        publish(None, BY_NAME[TOTAL], ["2021-11-07"], [row], "1")  # pyright: ignore[reportArgumentType]


def test_text_cannot_break_the_sample_table() -> None:
    assert markdown_table(["a", "b"], [("x|y\n", 1)]) == "| a | b |\n| --- | --- |\n| x\\|y  | 1 |"
