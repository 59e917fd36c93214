"""The contract as data: what a field that came later may be, and what is derived from it."""

from __future__ import annotations

import pytest

from qimo_assets import contract
from qimo_assets.contract import FIELDS, MIN_FIELDS, Field
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.verify import line as recount_line
from qimo_assets.verify.line import FIELD_COUNTS, read_line
from qimo_assets.views import sql

VERSION = Field("app_version", "text", "客户端版本", added=True)
PLACE = Field("server_gps", "gps", "服务器", added=True)


def test_added_fields_stand_at_the_end_and_are_not_required() -> None:
    assert MIN_FIELDS == 20
    assert [field.added for field in FIELDS] == [False] * 20 + [True] * (len(FIELDS) - 20)
    assert [field.name for field in FIELDS if field.added and field.required] == []


def test_the_recount_counts_the_same_lines_as_good() -> None:
    assert list(FIELD_COUNTS) == list(range(MIN_FIELDS, len(FIELDS) + 1))


def test_every_column_of_the_contract_is_in_the_table() -> None:
    assert {column for field in FIELDS for column in field.columns} <= set(MESSAGE.columns)


def test_a_field_has_its_column_and_a_place_has_two() -> None:
    assert VERSION.columns == {"app_version": "客户端版本"}
    assert PLACE.columns == {"server_longitude": "服务器经度", "server_latitude": "服务器纬度"}


def test_an_added_field_is_a_column_at_the_end_of_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sql.declared_columns(sql.view_statement(sql.MESSAGE_VIEW, "lake"))
    monkeypatch.setattr(sql, "FIELDS", (*contract.FIELDS, VERSION, PLACE))
    statement = sql.view_statement(sql.MESSAGE_VIEW, "lake")
    assert sql.declared_columns(statement) == {**before, **VERSION.columns, **PLACE.columns}
    assert (
        "collected_at, written_at,\n  app_version,\n  server_longitude,\n  "
        "server_latitude\nFROM lake." in statement
    )


def test_the_recount_may_take_lines_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "\x01".join(["2024-05-01 10:00:00", "", "A", *[""] * 8, "B", *[""] * 8])
    longer = f"{line}\x018.1"
    monkeypatch.setattr(recount_line, "FIELD_COUNTS", (20,))
    assert read_line(longer.encode(), 1000, "2021-01-01", "9999") == "field_count"
    monkeypatch.setattr(recount_line, "FIELD_COUNTS", (20, 21))
    assert [
        len(read_line(text.encode(), 1000, "2021-01-01", "9999")) for text in (line, longer)
    ] == [20, 21]
    assert read_line(f"{longer}\x01x".encode(), 1000, "2021-01-01", "9999") == "field_count"
