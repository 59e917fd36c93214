"""Whether the lake holds each file from its first byte to its last: the byte ranges that are known,
and the gaps between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import dagster as dg

from qimo_assets.lake.places import SEPARATOR, Known, Range
from qimo_assets.lake.watch import watched_asset
from qimo_assets.metadata import table

RANGES = dg.AssetKey(["hudi", "known_ranges"])
CHECK = "files_have_no_gaps"
# Partitions of the topic are read side by side: what lies between comes within a few batches.
LATE_SECONDS = 600
MAX_SHOWN = 20


@dataclass
class Gaps:
    """Judges the gaps of one stream by how long each has been there.

    Attributes:
        known: The places of all lines in the lake.
    """

    known: Known
    _since: dict[tuple[str, Range], float] = field(default_factory=dict, init=False)

    def judge(self, now: float) -> dg.AssetCheckResult:
        """Judge whether each gap was filled before long.

        Args:
            now: Seconds since the epoch.
        """
        gaps = {(place, gap) for place, found in self.known.gaps().items() for gap in found}
        self._since = {gap: self._since.get(gap, now) for gap in gaps}
        late = sorted(gap for gap, since in self._since.items() if now - since > LATE_SECONDS)
        places = list(self.known.places.values())
        return dg.AssetCheckResult(
            asset_key=RANGES,
            check_name=CHECK,
            passed=not late,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(late)} gap(s) for more than {LATE_SECONDS // 60} minutes: bytes "
            "between lines of one file that the lake does not hold. ./qimo verify counts what is "
            "missing; lines whose loss was accepted stay named here."
            if late
            else None,
            metadata={
                "files and partitions": dg.MetadataValue.int(len(places)),
                "ranges": dg.MetadataValue.int(sum(map(len, places))),
                "gaps": dg.MetadataValue.int(len(gaps)),
                "known no longer one by one": table(
                    ["host", "birth of the youngest"],
                    [(host, birth) for host, birth in list(self.known.forgotten.items())],
                ),
                "late gaps": table(
                    ["host", "file", "from byte", "to byte"],
                    [(*_names(place), begin, end) for place, (begin, end) in late[:MAX_SHOWN]],
                ),
            },
        )


def _names(place: str) -> tuple[str, str]:
    host, _, file = place.partition(SEPARATOR)
    return host, file


def build_gaps_definitions(tables: list[dg.AssetKey]) -> dg.Definitions:
    """Return the known byte ranges as an asset, and the check of their gaps.

    Args:
        tables: The assets of the tables whose lines they are of.
    """
    return watched_asset(
        RANGES,
        tables,
        "The byte ranges of each log file, and the offsets of each partition, whose lines are in "
        "the lake.",
        CHECK,
        f"Warns when bytes in the middle of a file are missing for {LATE_SECONDS // 60} minutes.",
    )
