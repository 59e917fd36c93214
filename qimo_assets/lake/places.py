"""Where lines stood that are in the lake: byte ranges of files, and offsets of the topic's
partitions for lines without a file.

A line whose place is not known here never came before. One whose place is known may have come: it
has to be looked up. So what is known may be too much, which costs time, and never too little.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

# From the first byte of a line to the first one behind its line feed.
Range = tuple[int, int]
Ranges = list[Range]
# A line's end is one byte longer where its file has carriage returns, which no event tells of.
CARRIAGE_RETURN = 1
# Ranges of one place; more are put together across the shortest gaps.
MAX_RANGES = 1_000
# Places that are known one by one, 100 bytes each; of what was not written to for longest
# only the age is kept.
MAX_PLACES = 20_000
SEPARATOR = "\0"
# Longer than any file.
ALL = (0, 2**63 - 1)


def joined(ranges: Iterable[Sequence[int]], most: int = MAX_RANGES) -> Ranges:
    """Return ranges in order, with those put together that touch or overlap.

    Args:
        ranges: Ranges in any order.
        most: Ranges that are returned at most.
    """
    found: Ranges = []
    for begin, end in sorted((begin, end) for begin, end in ranges):
        if found and begin <= found[-1][1] + CARRIAGE_RETURN:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    if len(found) <= most:
        return found
    gaps = range(1, len(found))
    closed = set(nsmallest(len(found) - most, gaps, key=lambda at: found[at][0] - found[at - 1][1]))
    coarse: Ranges = []
    for at, (begin, end) in enumerate(found):
        if at in closed:
            coarse[-1] = (coarse[-1][0], end)
        else:
            coarse.append((begin, end))
    return coarse


def common(known: Ranges, ranges: Iterable[Range]) -> Ranges:
    """Return what two sets of ranges have in common.

    Args:
        known: Ranges in order, none touching another.
        ranges: Ranges in any order.
    """
    return list(_common(known, ranges))


def _common(known: Ranges, ranges: Iterable[Range]) -> Iterator[Range]:
    ends = [end for _, end in known]
    begins = [begin for begin, _ in known]
    for begin, end in ranges:
        for at in range(bisect_right(ends, begin), bisect_left(begins, end)):
            yield max(begin, begins[at]), min(end, ends[at])


@dataclass
class Survey:
    """What a micro-batch holds, as the reading of its lines tells it.

    Attributes:
        rows: Table -> day -> lines.
        reasons: Day of arrival -> reason -> lines.
        places: Place -> ranges of its lines.
        repeats: Place -> ranges in which a line stands twice.
        reached: Partition of the topic -> the first offset behind its records.
    """

    rows: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    places: dict[str, Ranges] = field(default_factory=dict)
    repeats: dict[str, Ranges] = field(default_factory=lambda: defaultdict(list))
    reached: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Add what the reading of some of the lines told, as JSON."""
        told: Mapping[str, Any] = json.loads(text)
        for table, days in told["rows"].items():
            self.rows[table].update(days)
        for day, reasons in told["reasons"].items():
            self.reasons[day].update(reasons)
        for partition, offset in told["reached"].items():
            self.reached[partition] = max(offset, self.reached.get(partition, 0))
        for place, ranges in told["repeats"].items():
            self.repeats[place] += [(begin, end) for begin, end in ranges]
        for place, ranges in told["places"].items():
            new, before = [(begin, end) for begin, end in ranges], self.places.get(place, [])
            if both := common(before, new):
                self.repeats[place] += both
            self.places[place] = joined([*before, *new])


@dataclass
class Known:
    """The places of all lines in the lake.

    Attributes:
        places: Place -> its ranges; the place that was written to last comes last.
        forgotten: Host -> birth of the youngest of its files that are no longer known one by one;
            -1 where only files without a birth are so.
        most: Places that are known one by one.
    """

    places: dict[str, Ranges] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    most: int = MAX_PLACES

    def add(self, places: Mapping[str, Iterable[Sequence[int]]]) -> None:
        """Learn ranges that are in the lake."""
        for place, ranges in places.items():
            before = self.places.pop(place, None)
            if before is None:
                # Which of its ranges are in the lake was forgotten: each may be.
                before = [ALL] if self._may_be_forgotten(place) else []
            self.places[place] = joined([*before, *((begin, end) for begin, end in ranges)])
        for place in list(self.places)[: max(len(self.places) - self.most, 0)]:
            del self.places[place]
            host, birth = _host(place), _birth(place)
            self.forgotten[host] = max(self.forgotten.get(host, -1), birth)

    def doubtful(self, survey: Survey) -> dict[str, Ranges]:
        """Return those ranges of a batch whose lines may have come before, or come twice in it."""
        found = {
            place: common(self.places[place], ranges)
            if place in self.places
            else ranges
            if self._may_be_forgotten(place)
            else []
            for place, ranges in survey.places.items()
        }
        return {
            place: joined([*ranges, *survey.repeats.get(place, [])])
            for place, ranges in found.items()
            if ranges or survey.repeats.get(place)
        }

    def gaps(self) -> dict[str, Ranges]:
        """Return what is missing of each file between its first byte and the last one known."""
        return {
            place: [
                (before[1], after[0])
                for before, after in zip([(0, 0), *ranges], ranges, strict=False)
                if before[1] < after[0]
            ]
            # A copy: the stream's thread writes meanwhile.
            for place, ranges in list(self.places.items())
            if not is_of_topic(place) and (len(ranges) > 1 or ranges[0][0] > 0)
        }

    def _may_be_forgotten(self, place: str) -> bool:
        host = _host(place)
        birth = _birth(place)
        return host in self.forgotten and (birth < 0 or birth <= self.forgotten[host])


def is_of_topic(place: str) -> bool:
    """Return whether a place is a partition of a topic."""
    return place.count(SEPARATOR) == 2


def _host(place: str) -> str:
    return SEPARATOR if is_of_topic(place) else place.partition(SEPARATOR)[0]


def _birth(place: str) -> int:
    """Return the birth of a file that is named by inode and birth; -1 where it is named by its
    path.
    """
    inode, _, birth = place.partition(SEPARATOR)[2].partition("-")
    return int(birth) if inode.isdigit() and birth.isdigit() else -1
