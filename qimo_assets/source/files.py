"""What stands in the log directory, and how far the agent has read it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from qimo_assets.settings import SourceSettings


@dataclass(frozen=True)
class LogFile:
    """One tailed file: its size and the bytes that the agent has passed on."""

    path: Path
    size: int
    read: int

    @property
    def unread(self) -> int:
        """Bytes that the agent has not passed on yet; an unterminated last line stays unread until it is ended."""
        return max(self.size - self.read, 0)


def log_files(source: SourceSettings) -> list[LogFile]:
    """Return the files that the agent tails, by name."""
    positions = read_positions(source.position_file)
    pattern = re.compile(source.file_pattern)
    paths = sorted(path for path in source.log_dir.iterdir() if path.is_file() and pattern.fullmatch(path.name)) if source.log_dir.is_dir() else []
    return [_log_file(path, positions) for path in paths]


def read_positions(position_file: Path) -> dict[tuple[int, str], int]:
    """Return (inode, path) -> position out of TAILDIR's position file; nothing when it is not there or is just being rewritten."""
    try:
        entries = json.loads(position_file.read_text())
    except (OSError, ValueError):
        return {}
    return {(entry["inode"], entry["file"]): entry["pos"] for entry in entries}


def _log_file(path: Path, positions: dict[tuple[int, str], int]) -> LogFile:
    state = path.stat()
    return LogFile(path, state.st_size, positions.get((state.st_ino, str(path)), 0))
