"""Appending: lines to the log files, whole ones, at once or at a rate."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from qimo_assets.errors import QimoError
from qimo_assets.simulator.lines import Writer
from qimo_assets.simulator.times import ZONE, paced, spread

FILES = ("chat-1.log", "chat-2.log", "chat-3.log")


class FeedError(QimoError):
    """The lines cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class FeedReport:
    """What one feed appended.

    Attributes:
        lines: Lines written, bad, repeated and late ones among them.
        bytes: Bytes written.
        files: The files that were appended to.
        bad: Lines that break the contract.
        repeated: Exact copies of an earlier line.
        late: Lines whose time is one to three days older than their neighbours'.
        seconds: How long it took.
    """

    lines: int
    bytes: int
    files: tuple[Path, ...]
    bad: int
    repeated: int
    late: int
    seconds: float


def feed(
    log_dir: Path,
    lines: int,
    *,
    rate: float | None = None,
    days: int = 1,
    bad: float = 0.0,
    late: float = 0.0,
    repeat: float = 0.0,
    seed: int | None = None,
    now: datetime | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> FeedReport:
    """Append lines to the log files of `log_dir` as the chat servers do.

    The same seed and the same `now` append the same bytes, unless `rate` is given.

    Args:
        log_dir: Directory of the log files; made when it is not there.
        lines: How many lines to append.
        rate: Lines per second, each with the present time; None writes as fast as it can.
        days: Without `rate`, how many days up to `now` the messages' times are spread over.
        bad: Share of lines that break the contract, 0 to 1.
        late: Share of lines with a time one to three days older than their neighbours', 0 to 1.
        repeat: Share of lines that are exact copies of an earlier line, 0 to 1.
        seed: Seed of everything that is left to chance.
        now: The last time that a message may have; the present when None. Without a zone it is
            Asia/Shanghai.
        on_progress: Called with the lines written so far.

    Returns:
        What was appended.

    Raises:
        ValueError: An argument is out of its range.
        FeedError: A file cannot be written.
    """
    _check(lines, rate, days, bad, late, repeat)
    started = time.monotonic()
    end = _in_zone(now)
    writer = Writer(Random(seed), end, (1 - bad - late - repeat, bad, late, repeat), len(FILES))
    report = FeedReport(
        0, 0, tuple(log_dir / name for name in FILES) if lines else (), 0, 0, 0, 0.0
    )
    batches = (
        paced(lines, rate)
        if rate
        else spread(writer.random, lines, end - timedelta(days=days), end)
    )
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            handles = [stack.enter_context(path.open("ab", buffering=0)) for path in report.files]
            for times in batches:
                for handle, block in zip(handles, writer.blocks(times), strict=True):
                    _append(handle.fileno(), block)
                    report = replace(report, bytes=report.bytes + len(block))
                report = replace(report, lines=report.lines + len(times))
                if on_progress:
                    on_progress(report.lines)
    except OSError as error:
        raise FeedError(
            f"{log_dir} cannot be written: {error}. Make room or choose another directory, "
            "then feed again."
        ) from error
    return replace(
        report,
        bad=writer.bad,
        repeated=writer.repeated,
        late=writer.late,
        seconds=time.monotonic() - started,
    )


def _check(
    lines: int, rate: float | None, days: int, bad: float, late: float, repeat: float
) -> None:
    if lines < 0:
        raise ValueError(f"lines is {lines}; give 0 or more")
    if rate is not None and rate <= 0:
        raise ValueError(f"rate is {rate}; give more than 0 lines per second")
    if days < 1:
        raise ValueError(f"days is {days}; give 1 or more")
    if min(bad, late, repeat) < 0 or bad + late + repeat > 1:
        raise ValueError(
            f"bad {bad}, late {late} and repeat {repeat} are shares: give 0 or more each, "
            "and at most 1 together"
        )


def _in_zone(now: datetime | None) -> datetime:
    if now is None:
        return datetime.now(ZONE)
    return now.astimezone(ZONE) if now.tzinfo else now.replace(tzinfo=ZONE)


def _append(descriptor: int, block: bytes) -> None:
    """Append whole lines only: a write cut short, as on a full disk, is taken back to the end of
    its last whole line.
    """
    written = os.write(descriptor, block)
    if written < len(block):
        torn = written - (block.rfind(b"\n", 0, written) + 1)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - torn)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
