"""The recount of the source files, line by line."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from qimo_assets.settings import Settings
from qimo_assets.verify.days import Day, tables_of
from qimo_assets.verify.errors import VerifyError
from qimo_assets.verify.line import latest_time, read_line
from qimo_assets.verify.metrics import Table
from qimo_assets.verify.regions import open_regions

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
    """

    lines: int
    rows: dict[str, int]
    quarantined: dict[str, int]
    files: dict[SourceFile, int]
    tables: dict[str, Table]


def recount(
    settings: Settings,
    now: datetime,
    rejected_ahead: Mapping[SourceFile, Mapping[int, str]] | None = None,
) -> Recount:
    """Recount the source files by the contract's rules, line by line.

    When a line was collected stands in no file. A line counts as too far ahead when it is so at
    `now`, or, for the lines that the pipeline rejected for it, when it was so at the time that the
    pipeline collected it.

    Args:
        settings: Where the files are and what the limits are.
        now: The time that the lines' times are held against.
        rejected_ahead: For each file the byte offsets of lines rejected as `time_ahead`, with their
            own latest time.

    Returns:
        Lines, rows, rejected lines and every metric.

    Raises:
        VerifyError: The files or the address database cannot be read.
    """
    latest = latest_time(now, settings.lake)
    first = str(settings.lake.first_day)
    too_long = settings.lake.max_line_bytes
    locate = open_regions(settings.lake.ip2region_jar)
    days: dict[str, Day] = defaultdict(lambda: Day(locate))
    quarantined: Counter[str] = Counter()
    files: dict[SourceFile, int] = {}
    names: dict[str, str] = {}
    for file, path in source_files(settings).items():
        own_latest = (rejected_ahead or {}).get(file, {})
        count = 0
        for offset, line in lines_of(path, too_long):
            count += 1
            message = read_line(line, too_long, first, own_latest.get(offset, latest))
            if isinstance(message, str):
                quarantined[message] += 1
                continue
            # One object for each account, however many sets it is in.
            sender, receiver = (
                names.setdefault(message[2], message[2]),
                names.setdefault(message[11], message[11]),
            )
            days[message[0][:10]].add(message, sender, receiver)
        files[file] = count
    return Recount(
        lines=sum(files.values()),
        rows={day: aggregate.messages for day, aggregate in sorted(days.items())},
        quarantined=dict(quarantined),
        files=files,
        tables=tables_of(days),
    )


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
