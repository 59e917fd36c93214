"""Statements of the command line: where one ends, how an answer is written, and what an error
says.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from pyhive import hive

from qimo_assets.query import Answer, Format, QueryError, decoded, reason, render, statements

TWO = ["SELECT 1", "SELECT 2"]
DAYS = "SELECT count(*) AS n FROM v_message -- one day only\nWHERE day='2021-02-05'"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DAYS, [DAYS]),
        ("-- first of all\nSELECT 1", ["-- first of all\nSELECT 1"]),
        ("SELECT 1; SELECT 2", TWO),
        ("SELECT 1;\n;\nSELECT 2;", TWO),
        (" SELECT 1 ;\n-- the end; really\n", ["SELECT 1"]),
        ("SELECT ';', '--', 'it''s'; SELECT 2", ["SELECT ';', '--', 'it''s'", "SELECT 2"]),
        (r"SELECT 'a\'; b'; SELECT 2", [r"SELECT 'a\'; b'", "SELECT 2"]),
        (r"SELECT r'a\'; SELECT 2", [r"SELECT r'a\'", "SELECT 2"]),
        (r'SELECT R"a\"; SELECT 2', [r'SELECT R"a\"', "SELECT 2"]),
        (r"SELECT colour'a\'; b'", [r"SELECT colour'a\'; b'"]),
        ('SELECT "a;--"; SELECT 2', ['SELECT "a;--"', "SELECT 2"]),
        ("SELECT 1 AS `a;``--`; SELECT 2", ["SELECT 1 AS `a;``--`", "SELECT 2"]),
        ("SELECT /* ; */ 1; SELECT 2", ["SELECT /* ; */ 1", "SELECT 2"]),
        ("SELECT /* a /* ; */ ; */ 1", ["SELECT /* a /* ; */ ; */ 1"]),
        ("SELECT /*+ COALESCE(1) */ 1", ["SELECT /*+ COALESCE(1) */ 1"]),
        ("/* nothing; */ -- at all", []),
        ("", []),
        (";;", []),
        ("SELECT 1 -- it's; one\n; SELECT 2", ["SELECT 1 -- it's; one", "SELECT 2"]),
        ("SELECT 5 - -1; SELECT 2", ["SELECT 5 - -1", "SELECT 2"]),
        ("SELECT 10 / 2; SELECT 2", ["SELECT 10 / 2", "SELECT 2"]),
        # The server says what is wrong with it, and nothing after it is run.
        ("SELECT 'open; DROP TABLE x", ["SELECT 'open", "DROP TABLE x"]),
        ("SELECT 1 /* open ; SELECT 2", ["SELECT 1 /* open ; SELECT 2"]),
        ("SELECT '深圳；'; SELECT 2", ["SELECT '深圳；'", "SELECT 2"]),
        (
            "SELECT 1 -- goes on\\\n; and on\n; SELECT 2",
            ["SELECT 1 -- goes on\\\n; and on", TWO[1]],
        ),
    ],
)
def test_a_statement_ends_at_a_semicolon_that_is_one(text: str, found: list[str]) -> None:
    assert statements(text) == found


NAMES = ["day", "text", "n"]
ROWS: list[tuple[Any, ...]] = [
    ("2021-11-07", '深圳, "南山"\n区', 1),
    ("2021-11-08", "", None),
    ("2021-11-09", None, float("nan")),
    ("2021-11-10", " x ", True),
]


def lines(form: Format, names: list[str], rows: list[tuple[Any, ...]]) -> str:
    return "\n".join(render(Answer(names, rows), form))


def test_csv_is_read_by_any_reader_and_tells_an_empty_text_from_none() -> None:
    text = lines("csv", NAMES, ROWS)
    assert list(csv.reader(io.StringIO(text))) == [
        NAMES,
        ["2021-11-07", '深圳, "南山"\n区', "1"],
        ["2021-11-08", "", ""],
        ["2021-11-09", "", "nan"],
        ["2021-11-10", " x ", "true"],
    ]
    assert text.splitlines()[3:5] == ['2021-11-08,"",', "2021-11-09,,nan"]


def test_json_is_an_array_of_objects() -> None:
    assert json.loads(lines("json", NAMES, ROWS)) == [
        {"day": "2021-11-07", "text": '深圳, "南山"\n区', "n": 1},
        {"day": "2021-11-08", "text": "", "n": None},
        {"day": "2021-11-09", "text": None, "n": "nan"},
        {"day": "2021-11-10", "text": " x ", "n": True},
    ]
    assert "深圳" in lines("json", NAMES, ROWS)
    assert json.loads(lines("json", NAMES, [])) == []


def test_two_columns_of_one_name_are_no_object() -> None:
    with pytest.raises(QueryError, match="Two columns are named a: name them apart"):
        lines("json", ["a", "b", "a"], [(1, 2, 3)])
    assert lines("csv", ["a", "a"], [(1, 2)]) == "a,a\n1,2"


def test_a_table_stands_straight_whatever_is_in_it() -> None:
    assert lines("table", ["city", "n"], [("深圳", 12), ("a\x1b[31m\n", None)]).splitlines() == [
        "+-------------+------+",
        "| city        | n    |",
        "+-------------+------+",
        "| 深圳        | 12   |",
        r"| a\x1b[31m\n | NULL |",
        "+-------------+------+",
        "2 rows",
    ]
    assert lines("table", ["n"], []).splitlines() == ["+---+", "| n |", "+---+", "0 rows"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "org.apache.hive.service.cli.HiveSQLException: Error running query: "
            "[TABLE_OR_VIEW_NOT_FOUND] org.apache.spark.sql.AnalysisException: "
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `x` cannot be found.; line 1 pos 14;\n"
            "'Project [*]\n+- 'UnresolvedRelation [x], [], false\n\n\tat org.apache.spark.X",
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `x` cannot be found.; line 1 pos 14",
        ),
        (
            "Error running query: org.apache.spark.sql.catalyst.parser.ParseException: \n"
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEKT'.(line 1, pos 0)\n\n"
            "== SQL ==\nSELEKT 1\n^^^\n",
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEKT'.(line 1, pos 0)",
        ),
        ("Could not connect to any of [('127.0.0.1', 1)]", None),
        ("", "OperationalError"),
    ],
)
def test_a_reason_is_one_line_without_classes_plan_and_stack(said: str, told: str | None) -> None:
    assert reason(hive.OperationalError(said)) == (told or said)


def test_a_text_that_is_not_utf_8_is_refused() -> None:
    assert decoded("SELECT '深圳'".encode()) == "SELECT '深圳'"
    with pytest.raises(QueryError, match="not UTF-8"):
        decoded("SELECT '深圳'".encode("gb18030"))
