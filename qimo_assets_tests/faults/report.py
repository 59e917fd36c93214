"""The matrix as one table: JSON for programs, and a marked section of a Markdown page whose other
text stays as it is.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import psutil

from qimo_assets.simulator import ZONE
from qimo_assets_tests.faults.matrix import Row

PAGE, DATA = "reliability.md", "fault-matrix.json"
BEGIN, END = (
    "<!-- fault matrix: written by `./qimo test faults` -->",
    "<!-- end of the fault matrix -->",
)
COLUMNS = (
    "what",
    "at (s)",
    "recovered by itself",
    "answers (s)",
    "in MySQL (s)",
    "lines",
    "rows",
    "quarantined",
    "sent again",
    "missing",
    "twice",
    "metrics",
)


def write(directory: Path, rows: Sequence[Row], command: str, seed: int) -> None:
    """Write the rows so far.

    Args:
        directory: Where the page and the JSON file are; the page is made when it is not there.
        rows: The rows in the order in which they were run.
        command: The command that runs the same matrix.
        seed: Its seed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "date": datetime.now(ZONE).strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "command": command,
        "seed": seed,
    }
    hidden = {"start", "end"}
    content = [
        {name: value for name, value in asdict(row).items() if name not in hidden} | {"ok": row.ok}
        for row in rows
    ]
    (directory / DATA).write_text(
        json.dumps({**about, "rows": content}, indent=1, ensure_ascii=False) + "\n"
    )
    page = directory / PAGE
    text = page.read_text() if page.exists() else f"{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    said = "\n".join(
        f"- {name}: {f'`{value}`' if name == 'command' else value}" for name, value in about.items()
    )
    page.write_text(f"{before}{BEGIN}\n\n{said}\n\n{table(rows)}\n\n{END}{after}")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, with their sums."""
    sums = [
        str(sum(getattr(row, name) or 0 for row in rows))
        for name in ("lines", "rows", "quarantined", "sent_again", "missing", "twice")
    ]
    total = [
        f"{len(rows)} rows",
        "",
        _yes(all(row.recovered is not None for row in rows)),
        "",
        "",
        *sums,
        _yes(all(row.metrics for row in rows)),
    ]
    lines = [
        COLUMNS,
        ["---", *["---:"] * (len(COLUMNS) - 1)],
        *(_cells(row) for row in rows),
        total,
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """Return what the matrix ran on."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}"
    )


def _cells(row: Row) -> list[str]:
    seconds = ["-" if value is None else f"{value:.0f}" for value in (row.answered, row.recovered)]
    counts = [
        str(value)
        for value in (
            row.lines,
            row.rows,
            row.quarantined,
            "-" if row.sent_again is None else row.sent_again,
            row.missing,
            row.twice,
        )
    ]
    return [
        row.fault,
        f"{row.after:.1f}",
        _yes(row.recovered is not None),
        *seconds,
        *counts,
        "equal" if row.metrics else "DIFFER",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "NO"
