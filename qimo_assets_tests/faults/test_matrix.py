"""Whatever is killed or stopped: the platform comes back by itself, and every line counts once."""

from __future__ import annotations

from qimo_assets_tests.faults.hits import Fault
from qimo_assets_tests.faults.matrix import Matrix


def test_recovers_by_itself(matrix: Matrix, fault: Fault, hits: int, recounts_each: bool) -> None:
    rows = []
    for number in range(hits):
        row = matrix.run(fault, number) if recounts_each else matrix.run_in_its_flow(fault)
        rows.append(row)
        assert row.answered is not None, row
        assert row.recovered is not None, row
    if recounts_each:
        matrix.settle(rows)
        assert [row for row in rows if not row.ok] == []


def test_every_line_counts_once(matrix: Matrix, recounts_each: bool) -> None:
    if not recounts_each:
        matrix.settle(matrix.rows)
    assert [row for row in matrix.rows if row.missing or row.twice] == []
    assert [row for row in matrix.rows if not row.metrics] == []
    assert (
        sum(row.lines for row in matrix.rows)
        == sum(row.rows + row.quarantined for row in matrix.rows)
        > 0
    )
