"""Sessions of HiveServer2 that threads share."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from queue import SimpleQueue

from qimo_assets.resources.hive import HiveSession


class SessionPool:
    """Open sessions, each for one thread at a time.

    Args:
        sessions: The sessions.
    """

    def __init__(self, sessions: Iterable[HiveSession]) -> None:
        self._idle: SimpleQueue[HiveSession] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    @contextmanager
    def take(self) -> Generator[HiveSession, None, None]:
        """Wait for a session that is idle, and give it back at the end."""
        session = self._idle.get()
        try:
            yield session
        finally:
            self._idle.put(session)
