"""What stands in the log directory, how far the agent has read it, and what it does not read and
why.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qimo_assets.settings import SourceSettings
from qimo_assets.source.links import (
    LINK_NAME,
    has_line_after,
    link_paths,
    log_paths,
    read_positions,
)

# The keeper of the links looks twice a second, the agent writes its positions every 3 s and may be
# loading its configuration anew.
WAIT_SECONDS = 60
MAX_NAMED = 3


@dataclass(frozen=True)
class LogFile:
    """One log file: its size and the bytes that the agent has passed on.

    Attributes:
        name: Its name; the first one that it had, when it is gone from the directory.
        size: Bytes.
        read: Bytes that the agent has passed on.
        gone: Whether it was renamed out of the pattern or deleted; the agent reads it to its end
            through its link.
        unread_because: Why a line of it has waited for longer than reading takes; empty when none
            has.
    """

    name: str
    size: int
    read: int
    gone: bool = False
    unread_because: str = ""

    @property
    def unread(self) -> int:
        """Bytes that the agent has not passed on yet; an unterminated last line stays unread until
        it is ended.
        """
        return max(self.size - self.read, 0)


@dataclass(frozen=True)
class _Look:
    """What is seen at one moment of what a file's state depends on."""

    source: SourceSettings
    now: float
    link_device: int | None
    positions: dict[str, int]
    positions_age: float


def log_files(source: SourceSettings, now: float | None = None) -> list[LogFile]:
    """Return the files of the log directory by name, then those that are gone from it and still
    have a link.

    Args:
        source: Where they are.
        now: Seconds since 1970; the present time if not given.
    """
    look = _look(source, time.time() if now is None else now)
    present = (
        log_paths(source.log_dir, re.compile(source.file_pattern))
        if source.log_dir.is_dir()
        else {}
    )
    links = link_paths(source.link_dir)
    found = [_log_file(look, path, path.name, links.get(key)) for key, path in present.items()]
    gone = [
        _log_file(look, link, LINK_NAME.sub(r"\1", link.name), link, gone=True)
        for link in sorted(link for key, link in links.items() if key not in present)
    ]
    return [file for file in (*found, *gone) if file]


def what_is_not_read(files: Sequence[LogFile]) -> str:
    """Return which files have lines that wait for too long, and why; empty when none has."""
    waiting = [file for file in files if file.unread_because]
    if not waiting:
        return ""
    named = "; ".join(f"{file.name!r}: {file.unread_because}" for file in waiting[:MAX_NAMED])
    more = f"; and {len(waiting) - MAX_NAMED} more" if len(waiting) > MAX_NAMED else ""
    return f"{len(waiting)} of {len(files)} log files are not read: {named}{more}"


def _look(source: SourceSettings, now: float) -> _Look:
    try:
        device = source.link_dir.stat().st_dev
    except OSError:
        device = None
    try:
        age = now - source.position_file.stat().st_mtime
    except OSError:
        age = float("inf")
    return _Look(source, now, device, read_positions(source.position_file), age)


def _log_file(
    look: _Look, path: Path, name: str, link: Path | None, *, gone: bool = False
) -> LogFile | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None  # renamed or deleted since it was listed
    position = look.positions.get(link.name) if link else None
    read = position or 0
    reason = ""
    # Bytes without a line's end are no line yet.
    is_waiting = state.st_size > read and look.now - state.st_mtime > WAIT_SECONDS
    if is_waiting:
        reason = _reason(look, path, state, link, position)
    return LogFile(name, state.st_size, read, gone, reason)


def _reason(
    look: _Look, path: Path, state: os.stat_result, link: Path | None, position: int | None
) -> str:
    """Return why the lines of a file wait; empty where what waits is no whole line."""
    if not os.access(path, os.R_OK):
        return "it may not be read by this user"
    try:
        if not has_line_after(path, position or 0):
            return ""
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if link is None:
        return (
            f"it lies on another file system than {look.source.link_dir}, which no link reaches"
            if look.link_device not in (None, state.st_dev)
            else "it has no link: see what links.py says"
        )
    if look.positions_age > WAIT_SECONDS:
        return (
            "the agent has not written its positions"
            + (f" for {look.positions_age:.0f} s" if look.positions_age < float("inf") else "")
            + ": it does not run, or not by this position file"
        )
    if position is None:
        return (
            "the agent does not open it: run it with LC_ALL=C.UTF-8, as a user who may read the "
            "file, and with a limit of open files above their number"
        )
    return f"lines of it have waited for over {WAIT_SECONDS} s"
