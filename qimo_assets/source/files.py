"""What stands in the log directory, and how far the agent has read it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qimo_assets.settings import SourceSettings
from qimo_assets.source.links import LINK_NAME, link_paths, log_paths, read_positions


@dataclass(frozen=True)
class LogFile:
    """One log file: its size and the bytes that the agent has passed on.

    Attributes:
        name: Its name; the first one that it had, when it is gone from the directory.
        size: Bytes.
        read: Bytes that the agent has passed on.
        gone: Whether it was renamed out of the pattern or deleted; the agent reads it to its end
            through its link.
    """

    name: str
    size: int
    read: int
    gone: bool = False

    @property
    def unread(self) -> int:
        """Bytes that the agent has not passed on yet; an unterminated last line stays unread until
        it is ended.
        """
        return max(self.size - self.read, 0)


def log_files(source: SourceSettings) -> list[LogFile]:
    """Return the files of the log directory by name, then those that are gone from it and still
    have a link.
    """
    positions = read_positions(source.position_file)
    present = (
        log_paths(source.log_dir, re.compile(source.file_pattern))
        if source.log_dir.is_dir()
        else {}
    )
    links = [path for inode, path in link_paths(source.link_dir).items() if inode not in present]
    found = [_log_file(path, path.name, positions) for path in present.values()]
    gone = [
        _log_file(path, LINK_NAME.sub(r"\1", path.name), positions, gone=True)
        for path in sorted(links)
    ]
    return [file for file in (*found, *gone) if file]


def _log_file(
    path: Path, name: str, positions: dict[int, int], *, gone: bool = False
) -> LogFile | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None  # renamed or deleted since it was listed
    return LogFile(name, state.st_size, positions.get(state.st_ino, 0), gone)
