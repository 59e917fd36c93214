"""The fault matrix without a stack: which lines are a row's, which hits are planned, and where the
table is written.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qimo_assets.stack.layout import current_layout
from qimo_assets.stack.services import services
from qimo_assets_tests.faults import report
from qimo_assets_tests.faults.flow import line_starts, sizes
from qimo_assets_tests.faults.hits import FAULTS
from qimo_assets_tests.faults.matrix import Row, plan, sharing


def test_a_line_is_a_rows_by_its_first_byte(tmp_path: Path) -> None:
    file = tmp_path / "chat-1.log"
    file.write_bytes(b"before\n")
    start = sizes(tmp_path)
    file.write_bytes(file.read_bytes() + b"one\r\nlone\rreturn\n\n\xff\n")
    (tmp_path / "chat-2.log").write_bytes(b"new file\n")
    assert line_starts(tmp_path, start, sizes(tmp_path)) == {
        ("chat-1.log", 7),
        ("chat-1.log", 12),
        ("chat-1.log", 24),
        ("chat-1.log", 25),
        ("chat-2.log", 0),
    }


def test_the_full_matrix_hits_the_data_path_most() -> None:
    full = plan(FAULTS, 5)
    assert {fault.name for fault, hits in full if hits == 5} == {
        f"kill -9 {name}" for name in ("flume", "kafka", "streaming driver", "mysql")
    }
    assert {hits for _, hits in full} == {1, 5}
    assert [fault for fault, _ in full] == list(FAULTS)


def test_the_reduced_matrix_hits_each_service_once(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("QIMO_JAVA", "bundled")
    reduced = plan(FAULTS, 0)
    killed = {fault.name for fault, _ in reduced}
    assert {f"kill -9 {service.name}" for service in services(current_layout())} <= killed
    assert killed >= {"kill -9 streaming driver", "kill -9 a metric run"}
    assert {hits for _, hits in reduced} == {1}


def test_a_flow_of_the_reduced_matrix_has_one_process_of_the_data_path() -> None:
    reduced = [fault for fault, _ in plan(FAULTS, 0)]
    for fault in reduced:
        together = sharing(fault, FAULTS)
        assert fault in together
        assert all(other in reduced and sharing(other, FAULTS) == together for other in together)
        assert sum(other.on_data_path for other in together) <= 1


def test_a_row_is_good_only_when_nothing_is_missing_twice_or_different() -> None:
    good = Row("kill", "1", recovered=1.0, metrics=True)
    assert good.ok
    assert not replace(good, recovered=None).ok
    assert not replace(good, metrics=False).ok
    assert not replace(good, metrics=None).ok
    assert not replace(good, missing=1).ok
    assert not replace(good, twice=1).ok
    assert not replace(good, differences=["lines: 1 in the files"]).ok


def test_the_table_replaces_the_one_before_and_leaves_the_other_text(tmp_path: Path) -> None:
    page = tmp_path / report.PAGE
    page.write_text(f"# Title\n\n{report.BEGIN}\nold\n{report.END}\nlast\n")
    row = Row(
        "kill -9 kafka",
        "7/kill -9 kafka/0",
        after=3.25,
        answered=8.4,
        recovered=41.0,
        lines=10,
        rows=8,
        quarantined=1,
        missing=1,
        sent_again=2,
        metrics=False,
    )
    for _ in range(2):
        report.write(tmp_path, [row], "./qimo test faults", 7)
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nlast\n")
    assert "old" not in text
    assert (
        text.count("| kill -9 kafka | 3.2 | yes | 8 | 41 | 10 | 8 | 1 | 2 | 1 | 0 | DIFFER |") == 1
    )
    [written] = json.loads((tmp_path / report.DATA).read_text())["rows"]
    assert written["ok"] is False
    assert written["missing"] == 1
