"""A feed in a process of its own, so that figures move while somebody looks at them:
`python -m qimo_assets.simulator.tail DIRECTORY LINES RATE`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from qimo_assets.simulator.feed import feed

END_SECONDS = 10


def start(record: Path, log: Path, directory: Path, lines: int, rate: float) -> None:
    """Append lines with the present time, in a process that outlives this one; one that was started
    before goes on alone.

    Args:
        record: File that says which process it is, for `stop`.
        log: File of what it prints.
        directory: Directory of the log files.
        lines: After so many lines it ends.
        rate: Lines per second.
    """
    if _running(record):
        return
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(directory.resolve()), str(lines), str(rate)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    record.write_text(json.dumps([process.pid, psutil.Process(process.pid).create_time()]))


def stop(record: Path) -> bool:
    """End the feed that was started; return whether one was running."""
    process = _running(record)
    record.unlink(missing_ok=True)
    if process is None:
        return False
    # It ends between two lines: a signal is not taken within a write.
    process.terminate()
    with suppress(psutil.TimeoutExpired):
        process.wait(END_SECONDS)
    return True


def _running(record: Path) -> psutil.Process | None:
    """Return the recorded process, unless it ended and its number went to another."""
    try:
        number, born = json.loads(record.read_text())
        process = psutil.Process(number)
        return process if abs(process.create_time() - born) < 1 else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


if __name__ == "__main__":
    feed(Path(sys.argv[1]), int(sys.argv[2]), rate=float(sys.argv[3]))
