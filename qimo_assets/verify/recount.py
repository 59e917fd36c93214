"""The recount of the source files, line by line."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from qimo_assets.settings import Settings
from qimo_assets.verify.days import Day, tables_of
from qimo_assets.verify.errors import VerifyError
from qimo_assets.verify.line import latest_time, read_line
from qimo_assets.verify.metrics import Table, published_texts
from qimo_assets.verify.regions import open_regions
from qimo_assets.verify.topic import PlainLine

# A link that the agent tails: the log file's first name, its inode, and when it was made.
_LINK = re.compile(r"(.+)~(\d+-\d+)", re.DOTALL)

# Host, first name, and inode and birth of a log file; the last is empty where the agent does not
# tell it.
SourceFile = tuple[str, str, str]


@dataclass(frozen=True)
class Recount:
    """What the source files hold by the contract's rules.

    Attributes:
        lines: Terminated lines of all files.
        rows: Messages of each day.
        quarantined: Rejected lines of each reason.
        files: Lines of each file that there is.
        tables: Each metric's rows: (day, *grain) to measures; those of `data_quality` stand in no
            file and are left to `compare`.
        plain: Lines of the topic that stand in no file, counted among rows and rejected lines.
    """

    lines: int
    rows: dict[str, int]
    quarantined: dict[str, int]
    files: dict[SourceFile, int]
    tables: dict[str, Table]
    plain: int = 0


def recount(
    settings: Settings,
    now: datetime,
    rejected_ahead: Mapping[SourceFile, Mapping[int, str]] | None = None,
    plain: Iterable[PlainLine] = (),
    left_out: Set[tuple[int, str]] = frozenset(),
) -> Recount:
    """Recount the source files by the contract's rules, line by line, and the topic's lines that
    stand in no file.

    When a line was collected stands in no file. A line counts as too far ahead when it is so at
    `now`, or, for the lines that the pipeline rejected for it, when it was so at the time that the
    pipeline collected it.

    Args:
        settings: Where the files are and what the limits are.
        now: The time that the lines' times are held against.
        rejected_ahead: For each file the byte offsets of lines rejected as `time_ahead`, with their
            own latest time.
        plain: The topic's lines that name no file.
        left_out: Partition with day or reason: such plain lines are not counted.

    Returns:
        Lines, rows, rejected lines and every metric.

    Raises:
        VerifyError: The files or the address database cannot be read.
    """
    tally = _Tally(settings)
    latest = latest_time(now, settings.lake)
    files: dict[SourceFile, int] = {}
    for file, path in source_files(settings).items():
        own_latest = (rejected_ahead or {}).get(file, {})
        files[file] = 0
        for offset, line in lines_of(path, settings.lake.max_line_bytes):
            tally.add(tally.read(line, own_latest.get(offset, latest)))
            files[file] += 1
    plain_lines = 0
    for partition, _, collected, line in plain:
        found = tally.read(line, latest_time(collected, settings.lake))
        if (partition, found if isinstance(found, str) else found[0][:10]) not in left_out:
            tally.add(found)
            plain_lines += 1
    return Recount(
        lines=sum(files.values()),
        rows={day: aggregate.messages for day, aggregate in sorted(tally.days.items())},
        quarantined=dict(tally.quarantined),
        files=files,
        tables={name: published_texts(table) for name, table in tables_of(tally.days).items()},
        plain=plain_lines,
    )


class _Tally:
    """What has been counted so far."""

    def __init__(self, settings: Settings) -> None:
        locate = open_regions(settings.lake.ip2region_jar)
        self.days: dict[str, Day] = defaultdict(lambda: Day(locate))
        self.quarantined: Counter[str] = Counter()
        self._too_long = settings.lake.max_line_bytes
        self._first = str(settings.lake.first_day)
        self._names: dict[str, str] = {}

    def read(self, line: bytes, latest: str) -> list[str] | str:
        return read_line(line, self._too_long, self._first, latest)

    def add(self, message: list[str] | str) -> None:
        """Count a line's fields, or the reason why it has none."""
        if isinstance(message, str):
            self.quarantined[message] += 1
            return
        # One object for each account, however many sets it is in.
        sender, receiver = (self._names.setdefault(message[at], message[at]) for at in (2, 11))
        self.days[message[0][:10]].add(message, sender, receiver)


def source_files(settings: Settings) -> dict[SourceFile, Path]:
    """Return what to read each log file by: the link where it has one, which stays when the file is
    renamed or deleted, else its path.
    """
    source = settings.source
    found: dict[int, tuple[SourceFile, Path]] = {}
    try:
        pattern = re.compile(source.file_pattern)
        for path in source.log_dir.iterdir():
            if path.is_file() and pattern.fullmatch(path.name):
                found[path.stat().st_ino] = (source.host, path.name, ""), path
        for path in source.link_dir.iterdir() if source.link_dir.is_dir() else ():
            if link := _LINK.fullmatch(path.name):
                found[path.stat().st_ino] = (source.host, link[1], link[2]), path
        return dict(sorted(found.values()))
    except (OSError, re.error) as error:
        raise VerifyError(
            f"The log files in {source.log_dir} cannot be listed: {error}. Look at the "
            "settings of source."
        ) from error


def lines_of(path: Path, too_long: int) -> Iterator[tuple[int, bytes]]:
    """Yield each terminated line with its byte offset, without its line end, and of a line that is
    too long only its start.
    """
    offset, limit = 0, too_long + 2
    try:
        with path.open("rb") as file:
            while piece := file.readline(limit):
                start, last = offset, piece
                offset += len(piece)
                while not last.endswith(b"\n"):
                    if len(last) < limit:
                        return
                    last = file.readline(limit)
                    offset += len(last)
                yield start, piece.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise VerifyError(
            f"{path} cannot be read: {error}. Give this user the right to read it."
        ) from error
