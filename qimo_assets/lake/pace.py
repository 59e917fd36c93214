"""How often things are done beside the writing of batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pace:
    """How often things are done beside the writing of batches.

    Attributes:
        look_seconds: Seconds between two looks for services that are due.
        files: So many small files of a day are put together.
        corrections: Commits of corrections and deletions after which they are compacted.
        folded_after: Commits after which what is known is written down; the timeline keeps more.
        clean_seconds: Seconds between two looks for files that may go.
        readers_minutes: Minutes for which a file is kept that a service has replaced: longer than
            any query.
        options: Hudi's options that differ from the tables' own.
    """

    look_seconds: float = 5.0
    files: int = 16
    corrections: int = 20
    folded_after: int = 20
    clean_seconds: float = 300.0
    readers_minutes: float = 15.0
    options: Mapping[str, str] = field(default_factory=dict)
