"""Gaps between the lines of a file that are in the lake."""

from __future__ import annotations

import dagster as dg

from qimo_assets.lake.gaps import LATE_SECONDS, Gaps
from qimo_assets.lake.places import Known

FILE = "chat\0" + "17-42"
NOW = 1_800_000_000.0


def number(result: dg.AssetCheckResult, name: str) -> object:
    assert result.metadata is not None
    value = result.metadata[name]
    assert isinstance(value, dg.MetadataValue)
    return value.value


def test_a_gap_that_stays_is_named_until_its_lines_come() -> None:
    known = Known()
    gaps = Gaps(known)
    known.add({FILE: [(0, 40), (80, 120)], "\0topic\0" + "0": [(5, 9), (20, 30)]})
    found = gaps.judge(NOW)
    assert found.passed
    assert (number(found, "files and partitions"), number(found, "ranges")) == (2, 4)
    assert number(found, "gaps") == 1
    assert gaps.judge(NOW + LATE_SECONDS).passed
    late = gaps.judge(NOW + LATE_SECONDS + 1)
    assert not late.passed
    assert late.metadata is not None
    shown = late.metadata["late gaps"]
    assert isinstance(shown, dg.TableMetadataValue)
    [row] = shown.records
    assert row.data == {"host": "chat", "file": "17-42", "from byte": 40, "to byte": 80}
    known.add({FILE: [(40, 80)]})
    assert gaps.judge(NOW + LATE_SECONDS + 2).passed


def test_a_file_whose_beginning_is_missing_has_a_gap() -> None:
    known = Known()
    known.add({FILE: [(40, 80)]})
    gaps = Gaps(known)
    gaps.judge(NOW)
    assert not gaps.judge(NOW + LATE_SECONDS + 1).passed


def test_a_gap_that_moves_is_as_young_as_its_place() -> None:
    known = Known()
    gaps = Gaps(known)
    known.add({FILE: [(0, 40), (80, 120)]})
    gaps.judge(NOW)
    known.add({FILE: [(40, 80), (200, 220)]})
    assert gaps.judge(NOW + LATE_SECONDS + 1).passed
