"""The answer of `./qimo verify`, as data and as a table for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_DIFFERENCES = 20


@dataclass(frozen=True)
class TableResult:
    """One published table against the recount."""

    ok: bool
    rows: int
    differences: list[str]


@dataclass(frozen=True)
class Verification:
    """The answer of `./qimo verify`.

    Attributes:
        ok: Whether everything agrees.
        lines: Lines in the source files.
        rows: Rows in the lake.
        quarantined: Rows in quarantine of each reason.
        sent_again: Records of the topic that were a line's second or later arrival.
        metrics: Each published table against the recount.
        plain: Lines of other producers, which stand in the topic and in no file.
        gone: Rows of lake and quarantine of each file that is not here to be counted: rotated and
            deleted, or on another host.
        days_left_out: Days with rows of such a file; their metrics cannot be recounted.
        differences: What does not agree between files, topic, lake and quarantine.
    """

    ok: bool
    lines: int
    rows: int
    quarantined: dict[str, int]
    sent_again: int
    metrics: dict[str, TableResult]
    plain: int
    gone: dict[str, int]
    days_left_out: list[str]
    differences: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as it is printed in JSON."""
        return {
            "ok": self.ok,
            "lines": self.lines,
            "rows": self.rows,
            "quarantined": self.quarantined,
            "sent_again": self.sent_again,
            "metrics": {
                name: {"ok": result.ok, "rows": result.rows, "differences": result.differences}
                for name, result in self.metrics.items()
            },
            "plain": self.plain,
            "gone": self.gone,
            "days_left_out": self.days_left_out,
            "differences": self.differences,
        }


def render(verification: Verification) -> str:
    """Return the answer as a table for people."""
    reasons = ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(verification.quarantined.items())
    )
    lines = [
        f"{'lines in the files':<24}{verification.lines:>14,}",
        *(
            [f"{'lines in the topic only':<24}{verification.plain:>14,}"]
            if verification.plain
            else []
        ),
        f"{'rows in the lake':<24}{verification.rows:>14,}",
        f"{'lines in quarantine':<24}{sum(verification.quarantined.values()):>14,}"
        + (f"   ({reasons})" if reasons else ""),
        f"{'lines sent again':<24}{verification.sent_again:>14,}",
        "",
        f"{'metric':<24}{'rows':>14}   agrees",
        *(
            f"{name:<24}{result.rows:>14,}   {'yes' if result.ok else 'NO'}"
            for name, result in verification.metrics.items()
        ),
        "",
    ]
    found = verification.differences + [
        text for result in verification.metrics.values() for text in result.differences
    ]
    lines += [f"  {text}" for text in found]
    if verification.gone:
        lines.append(
            "Not counted, for their files are not here, or the topic deleted them: "
            f"{sum(verification.gone.values()):,} lines of {len(verification.gone)} files"
        )
        lines += shortened(
            "files", (f"  {file}: {count:,}" for file, count in verification.gone.items())
        )
        lines.append(
            "Metrics not compared, for these days have such lines: "
            f"{', '.join(verification.days_left_out) or 'none'}"
        )
    lines.append(
        "Everything agrees."
        if verification.ok
        else "The figures differ from the files, as listed above."
    )
    return "\n".join(lines)


def shortened(name: str, differences: Iterable[str]) -> list[str]:
    """Keep the first differences and count the others."""
    shown, more = [], 0
    for difference in differences:
        if len(shown) < MAX_DIFFERENCES:
            shown.append(difference)
        else:
            more += 1
    return [*shown, f"{name}: {more} more differences"] if more else shown
