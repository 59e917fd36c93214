"""What FineBI can take of the catalog, and the list of tables in docs/finebi.md.

After a change of the catalog write the list anew, and read the difference before it is committed:

    QIMO_RENEW_FINEBI=1 ./qimo test qimo_assets_tests/unit/test_finebi_page.py
"""

from __future__ import annotations

import os
import re

import pytest

from qimo_assets.metrics.catalog import METRICS, Column, Metric
from qimo_assets.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "finebi.md"
RENEW = "QIMO_RENEW_FINEBI"
BEGIN, END = "<!-- tables: made from the catalog -->\n", "<!-- end of tables -->"
# FineBI knows numbers, texts and dates; what is none of these it shows as text or not at all.
TYPES = {"BIGINT", "INT", "SMALLINT", "TINYINT", "DECIMAL", "DOUBLE", "VARCHAR", "DATE"}
FORBIDDEN_NAMES = {"__order", "__partition"}
FORBIDDEN_BEGINNINGS = ("jo_", "re_", "mt_")


def tables() -> str:
    """Return the list of tables as Markdown."""
    header = ["| 表 Table | 中文名 | English | 列 Columns |", "|---|---|---|---|"]
    return "\n".join([*header, *(row(metric) for metric in METRICS)]) + "\n"


def row(metric: Metric) -> str:
    second = {column.name: f"`{name}` 或 " for name, column in metric.plain_names.items()}
    columns = "，".join(
        f"{second.get(column.name, '')}`{column.name}` {column.comment_zh}"
        for column in metric.columns
    )
    return f"| `{metric.name}` | {metric.title_zh} | {metric.title_en} | {columns} |"


def test_the_page_lists_the_tables_of_the_catalog() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    listed, _, after = rest.partition(END)
    if os.environ.get(RENEW):
        PAGE.write_text(before + BEGIN + tables() + END + after)
        listed = tables()
    assert listed == tables(), (
        f"the catalog changed; run {RENEW}=1 ./qimo test qimo_assets_tests/unit/test_finebi_page.py"
    )


@pytest.mark.parametrize(
    "name",
    [metric.name for metric in METRICS]
    + [column.name for metric in METRICS for column in metric.columns]
    + [name for metric in METRICS for name in metric.plain_names],
)
def test_finebi_takes_the_name(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert name not in FORBIDDEN_NAMES
    assert not name.startswith(FORBIDDEN_BEGINNINGS)


@pytest.mark.parametrize(
    "column",
    {column.mysql_type: column for metric in METRICS for column in metric.columns}.values(),
    ids=lambda column: column.mysql_type,
)
def test_finebi_takes_the_type(column: Column) -> None:
    assert column.mysql_type.partition("(")[0] in TYPES


def test_titles_are_distinct_and_short_enough_for_a_list() -> None:
    titles = [metric.title_zh for metric in METRICS]
    assert len(set(titles)) == len(titles)
    assert all(re.search(r"[\u4e00-\u9fff]", title) and len(title) <= 30 for title in titles)
