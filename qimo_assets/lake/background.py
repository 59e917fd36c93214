"""Work that is done again and again in a thread of its own while a run goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def repeated(
    work: Callable[[], object], pause: float, name: str, patience: float | None = None
) -> Generator[None, None, None]:
    """Do some work each few seconds until the block ends, and wait for the work under way.

    Args:
        work: One that raises is logged and done again after the next pause.
        pause: Seconds before it is done, and between two times.
        name: Name of the thread.
        patience: Seconds to wait at the end; None waits as long as it takes.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause):
            try:
                work()
            except Exception:  # the thread would end without a word
                logger.exception("%s failed and is tried again", name)

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(patience)
