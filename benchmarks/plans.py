"""How much each benchmark does, as data: its options on the command line, the full size and that of
a smoke test.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from qimo_assets.settings import LakeSettings

Plan = TypeVar("Plan")
MAX_BATCH = LakeSettings.model_fields["max_lines_per_batch"].default
QUICK = "quick"
HELP = "help"
LEAST = "least"


def size(full: Any, quick: Any, text: str, *, least: int = 1) -> Any:
    """Return a field of a plan.

    Args:
        full: Its value unless another is asked for.
        quick: Its value in a smoke test, whose figures say nothing.
        text: What it is, for the command's help.
        least: The least that can be asked for.
    """
    return field(default=full, metadata={QUICK: quick, HELP: text, LEAST: least})


@dataclass(frozen=True)
class CollectPlan:
    """Log files to topic, the default agent against the course's."""

    lines: int = size(1_000_000, 20_000, "Lines that an agent carries each time.")
    warm_lines: int = size(200_000, 2_000, "Lines that it carries before, unmeasured.")
    repetitions: int = size(5, 1, "How often each agent runs.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class IngestPlan:
    """Topic to queryable Hudi rows, against plain Parquet and a first version of the job."""

    lines: int = size(1_200_000, 12_000, "Lines in the topic.")
    batch_lines: int = size(
        MAX_BATCH,
        3_000,
        "Largest micro-batch. The default, the stream's own, makes 24 of them, so that files are "
        "put together meanwhile.",
    )
    days: int = size(30, 5, "Days of the mixed lines.")
    repetitions: int = size(3, 1, "How often each job runs.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class AgePlan:
    """A line's age at each station while lines flow."""

    rates: tuple[int, ...] = size(
        (1_000, 3_000), (200,), "Lines per second; may be given several times."
    )
    seconds: tuple[int, ...] = size(
        (600,),
        (30,),
        "How long lines flow at each rate; given several times, one for each rate, the last for "
        "those that are left.",
    )
    day_lines: int = size(
        10_000_000, 5_000, "Lines that the day has before, which come as fast as they can."
    )
    warm_seconds: int = size(60, 20, "How long they flow before, unmeasured.")
    sample: int = size(
        50_000, 5_000, "Lines whose ages are looked at, chosen by the hash of their identity."
    )
    seed: int = size(1, 1, "Seed of the lines.")

    @property
    def flows(self) -> list[tuple[int, int]]:
        """Each rate with its seconds."""
        given = len(self.seconds)
        return [
            (rate, self.seconds[min(number, given - 1)]) for number, rate in enumerate(self.rates)
        ]


@dataclass(frozen=True)
class RefreshPlan:
    """A touched day to all metrics, with little and with much history, and a backfill of the whole
    of it.
    """

    short_days: int = size(9, 2, "Days of the short history.")
    long_days: int = size(90, 4, "Days of the long history.")
    day_lines: int = size(100_000, 1_000, "Lines of a day.")
    touch_lines: int = size(1_000, 100, "Lines that come to the newest day before each refresh.")
    repetitions: int = size(5, 1, "How often each history's newest day is refreshed.")
    backfills: int = size(2, 1, "How often the whole long history is published by each job.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class StartPlan:
    """`up` from cold and warm, and the memory of what then runs."""

    repetitions: int = size(3, 1, "How often the stack is started cold, and then warm.")
    lines: int = size(20_000, 1_000, "Lines that have gone through before memory is looked at.")
    settle_seconds: int = size(60, 10, "How long everything runs on after them.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class StoragePlan:
    """What Dagster's own tables get in an hour, and hold after a month."""

    rate: int = size(200, 200, "Lines per second.")
    seconds: int = size(3_600, 60, "How long they flow.")
    warm_seconds: int = size(300, 30, "How long they flow before, unmeasured.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class GrowPlan:
    """Whether anything grows with the number of commits."""

    rows: tuple[int, ...] = size(
        (1_000_000,), (6_000,), "Lines of the day that is streamed; may be given several times."
    )
    commits: int = size(1_000, 60, "Micro-batches that they come in.")
    sample_commits: int = size(40, 10, "Commits between two looks at files, heap and query.")
    queries: int = size(5, 2, "How often the day is queried at each look.")
    seed: int = size(1, 1, "Seed of the lines.")


@dataclass(frozen=True)
class DayPlan:
    """One day in one lake, and whether what a line costs follows what the day already holds."""

    lines: int = size(
        86_400_000,
        20_000,
        "Lines of the day. It is looked at when it has 1, 3, 10 and 30 million of them, and all.",
    )
    batch_lines: int = size(MAX_BATCH, 1_000, "Largest micro-batch.")
    queries: int = size(5, 2, "How often the day is queried each time.")
    warm_refreshes: int = size(
        8, 0, "How often its metrics are refreshed before, unmeasured: a young server compiles."
    )
    refreshes: int = size(
        3, 1, "How often its metrics are refreshed each time; at 0 they are not counted.", least=0
    )
    refresh_lines: int = size(10_000, 500, "Lines that are new at each refresh.")
    seed: int = size(1, 1, "Seed of the lines.")


def chosen(kind: type[Plan], *, quick: bool, **given: Any) -> Plan:
    """Return a plan: what was given, else the size of the smoke test or the full one.

    Args:
        kind: The plan's class.
        quick: Whether it is a smoke test.
        given: Field -> value; None and an empty tuple are not given.
    """
    values = {item.name: item.metadata[QUICK] if quick else item.default for item in fields(kind)}  # pyright: ignore[reportArgumentType]  # each is a dataclass
    return kind(
        **values | {name: value for name, value in given.items() if value not in (None, ())}
    )
