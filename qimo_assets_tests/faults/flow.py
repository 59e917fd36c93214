"""Lines that flow at a steady rate while something is hit, and the marker by which a line written
after the hit is found in MySQL.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from qimo_assets import simulator
from qimo_assets.contract import FIELDS, SEPARATOR

LINES_PER_SECOND = 200
# Of each: lines that break the contract, that are days late, that are copies of another.
SHARE = 0.02
MARKERS = "chat-markers.log"


class Flow:
    """Appends lines as the chat servers do, in a thread of its own, until it is stopped."""

    def __init__(self, log_dir: Path, seed: int) -> None:
        self._log_dir = log_dir
        self._seed = seed
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def start(self) -> None:
        """Begin to append lines."""
        self._thread.start()

    def stop(self) -> None:
        """End after the lines of this second.

        Raises:
            FeedError: A file could not be written.
        """
        self._ended.set()
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        second = self._seed
        try:
            while not self._ended.is_set():
                # One call a second: a feed cannot be ended from outside.
                simulator.feed(
                    self._log_dir,
                    LINES_PER_SECOND,
                    rate=LINES_PER_SECOND,
                    bad=SHARE,
                    late=SHARE,
                    repeat=SHARE,
                    seed=second,
                )
                second += 1
        except Exception as error:  # noqa: BLE001  # told to who stops the flow
            self._error = error


def append_marker(log_dir: Path, msg_type: str) -> None:
    """Append one good line that has only what it must have, and this type, by which it is found
    again.
    """
    values = {
        "msg_time": datetime.now(simulator.ZONE).strftime("%Y-%m-%d %H:%M:%S"),
        "sender_account": "marker",
        "receiver_account": "marker",
        "msg_type": msg_type,
    }
    with (log_dir / MARKERS).open("a") as file:
        file.write(SEPARATOR.join(values.get(field.name, "") for field in FIELDS) + "\n")


def sizes(log_dir: Path) -> dict[str, int]:
    """Return the bytes of each log file, by name."""
    return {path.name: path.stat().st_size for path in sorted(log_dir.glob("*.log"))}


def line_starts(
    log_dir: Path, start: Mapping[str, int], end: Mapping[str, int]
) -> set[tuple[str, int]]:
    """Return (file name, byte offset) of each line written between two moments.

    Args:
        log_dir: Directory of the log files.
        start: Bytes of each file at the first moment, as `sizes` gives them.
        end: The same at the second.
    """
    found: set[tuple[str, int]] = set()
    for name, size in end.items():
        offset = start.get(name, 0)
        with (log_dir / name).open("rb") as file:
            file.seek(offset)
            # Not splitlines(), which ends a line at a lone carriage return as well.
            for line in file.read(size - offset).split(b"\n")[:-1]:
                found.add((name, offset))
                offset += len(line) + 1
    return found
