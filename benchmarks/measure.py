"""Paired repetitions and what is told of them: medians, spread, ratios, percentiles, a test for
trend, and a report's JSON form.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import combinations
from statistics import NormalDist, median
from typing import Any, TypeVar

import psutil

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Figure:
    """One figure of the platform beside the same figure of its baselines.

    Attributes:
        name: What was measured.
        unit: Its unit.
        runs: Subject -> its figures, one for each repetition. The first subject is the platform,
            the others are its baselines.
        details: What else is to be known of the figure.
    """

    name: str
    unit: str
    runs: Mapping[str, Sequence[float]]
    details: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The first subject."""
        return next(iter(self.runs))

    @property
    def medians(self) -> dict[str, float]:
        """Subject -> median of its repetitions."""
        return {name: median(values) for name, values in self.runs.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """Baseline -> the first subject's figure over the baseline's: the median of the ratios
        within each repetition.

        What slows the machine down in one repetition slows down both, so that it leaves the ratio
        of that repetition as it is.
        """
        mine, *others = self.runs.items()
        pairs = {
            name: [(one, other) for one, other in zip(mine[1], values, strict=True) if other]
            for name, values in others
        }
        return {
            name: median(one / other for one, other in of_baseline)
            for name, of_baseline in pairs.items()
            if of_baseline
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as `--json` prints it."""
        medians = self.medians
        spread = {
            name: {"min": rounded(min(values)), "max": rounded(max(values))}
            for name, values in self.runs.items()
        }
        return {
            "name": self.name,
            "value": rounded(medians[self.subject]),
            "unit": self.unit,
            "baselines": {
                name: rounded(value) for name, value in medians.items() if name != self.subject
            },
            "ratios": {name: rounded(ratio) for name, ratio in self.ratios.items()},
            "runs": {
                name: [rounded(value) for value in values] for name, values in self.runs.items()
            },
            "spread": spread,
            "details": dict(self.details),
        }


@dataclass(frozen=True)
class Machine:
    """Where and when a benchmark ran.

    Attributes:
        cores: Processors that this process may use.
        memory_gib: Memory of the machine.
        load: Mean number of processes that wanted a processor in the minute before; a machine that
            is not idle tells nothing.
        began: Time of the start, in the machine's own zone.
    """

    cores: int
    memory_gib: float
    load: float
    began: str

    @classmethod
    def of_now(cls) -> Machine:
        """Return this machine at this moment."""
        memory = rounded(psutil.virtual_memory().total / 2**30)
        return cls(
            len(os.sched_getaffinity(0)),
            memory,
            rounded(os.getloadavg()[0]),
            datetime.now().astimezone().isoformat(timespec="seconds"),
        )


@dataclass(frozen=True)
class Report:
    """What one benchmark found.

    Attributes:
        name: The benchmark.
        figures: Its figures; the first one is the one that it is known by.
        plan: The sizes that it ran with.
        machine: Where it ran.
    """

    name: str
    figures: Sequence[Figure]
    plan: Mapping[str, Any]
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints: the first figure under the benchmark's own name, then the
        others in the same form.
        """
        first, *others = [figure.as_dict() for figure in self.figures]
        more = {
            "figure": first["name"],
            "figures": others,
            "plan": dict(self.plan),
            "machine": asdict(self.machine),
        }
        return {**first, "name": self.name, **more}

    def render(self) -> str:
        """Return the report as Markdown, ready for docs/performance.md."""
        plan = ", ".join(
            f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.plan.items()
        )
        machine = (
            f"{self.machine.cores} cores, {self.machine.memory_gib:g} GiB, "
            f"{self.machine.began}, load before {self.machine.load:g}"
        )
        head = (
            "| figure | unit | subject | median | least | greatest | ratio "
            "|\n|---|---|---|---:|---:|---:|---:|"
        )
        return "\n".join(
            [
                f"{self.name}: {machine}; {plan}",
                "",
                head,
                *(line for figure in self.figures for line in _lines(figure)),
            ]
        )


def _lines(figure: Figure) -> list[str]:
    ratios = figure.ratios
    lines = [
        f"| {figure.name} | {figure.unit} | {name} | {_number(median(values))} | "
        f"{_number(min(values))} | {_number(max(values))} "
        f"| {_number(ratios[name]) if name in ratios else ''} |"
        for name, values in figure.runs.items()
    ]
    return [
        *lines,
        *(
            f"| {figure.name} | | {name} | {_shown(value)} | | | |"
            for name, value in figure.details.items()
        ),
    ]


def _shown(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return " and ".join(map(_shown, value))
    return _number(value) if isinstance(value, (int, float)) else str(value)


def _number(value: float) -> str:
    return f"{rounded(value):,}"


def rounded(value: float) -> float:
    """Return a figure with four significant digits, and whole where these are digits before the
    point.
    """
    if not value or not math.isfinite(value):
        return value
    digits = 3 - math.floor(math.log10(abs(value)))
    return round(value, digits) if digits > 0 else round(value)


def alternate(
    subjects: Mapping[str, Callable[[], Answer]], repetitions: int
) -> dict[str, list[Answer]]:
    """Run each subject once a repetition, in turn forwards and backwards, so that a machine that
    drifts favours none.

    Args:
        subjects: Name -> what is measured.
        repetitions: How often.

    Returns:
        Name -> the answer of each repetition.
    """
    found: dict[str, list[Answer]] = {name: [] for name in subjects}
    for repetition in range(repetitions):
        for name in list(subjects)[:: 1 if repetition % 2 == 0 else -1]:
            found[name].append(subjects[name]())
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed (nearest
    rank).
    """
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@dataclass(frozen=True)
class Trend:
    """Whether a series grows.

    Attributes:
        slope: Median of the slopes between all pairs of points (Theil 1950, Sen 1968), a step.
        rises: Probability of a rise at least as clear by chance alone, in a series without trend
            (Mann 1945, Kendall 1975); below 0.05 it grows.
    """

    slope: float
    rises: float


def trend(values: Sequence[float]) -> Trend:
    """Test a series for growth, by Mann and Kendall, one-sided, with the correction for ties and
    for continuity.

    Its points have to be independent of each other: of a series with a period take the means of
    whole periods.

    Args:
        values: At least four points, equally far apart.
    """
    count = len(values)
    pairs = list(combinations(range(count), 2))
    score = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier, later in pairs
    )
    ties = sum(times * (times - 1) * (2 * times + 5) for times in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    z = (score - (score > 0) + (score < 0)) / math.sqrt(variance) if variance else 0.0
    slope = median(
        (values[later] - values[earlier]) / (later - earlier) for earlier, later in pairs
    )
    return Trend(slope, 1 - NormalDist().cdf(z))


def means(values: Sequence[float], size: int) -> list[float]:
    """Return the mean of each whole block of this many values; what is left over at the end is
    passed over.
    """
    return [
        sum(values[start : start + size]) / size for start in range(0, len(values) - size + 1, size)
    ]
