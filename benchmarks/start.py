"""start: how long `./qimo up` takes, cold and warm, and how much memory what then runs holds.

- **cold**: with empty data, which is formatted first, and with the installed software out of the
  system's cache of files, as far as no other process has it mapped (posix_fadvise(2),
  POSIX_FADV_DONTNEED). Nothing is fetched: the software is there.
- **warm**: again after `./qimo down`, with data and cache as they were left.

The time is that of the command, which ends when every service has answered its probe. Memory is
looked at after some lines have gone all the way and everything has run on for a while: the resident
memory of each service with its children. The stream is a child of Dagster's code server and is told
by itself, Python and JVM together.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.measure import Figure
from benchmarks.plans import StartPlan
from benchmarks.testbed import Testbed, say
from qimo_assets import simulator
from qimo_assets.stack.control import resident_bytes
from qimo_assets.stack.layout import Layout

# The software, and the passwords that this process knows already.
KEPT = {"install", "secrets"}
CODE_SERVER, STREAM = "dagster-code", "stream"
MIB = 2**20


def run(plan: StartPlan, bed: Testbed) -> Sequence[Figure]:
    """Start the stack cold and then warm, several times, and look at its memory each time that it
    was warm.
    """
    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    memory: dict[str, list[float]] = {}
    try:
        for repetition in range(plan.repetitions):
            _make_cold(bed.layout)
            seconds["cold"].append(_up(bed, "cold"))
            bed.qimo("down")
            seconds["warm"].append(_up(bed, "warm"))
            simulator.feed(bed.layout.chat, plan.lines, seed=plan.seed + repetition)
            bed.qimo("verify", "--wait")
            time.sleep(plan.settle_seconds)
            for name, mib in _resident(bed).items():
                memory.setdefault(name, []).append(mib)
            bed.qimo("down")
    finally:
        bed.qimo("down", check=False)
    total = [sum(values) for values in zip(*memory.values(), strict=True)]
    figures = [
        Figure(f"resident memory, {name}", "MiB", {"platform": values})
        for name, values in {"everything": total, **memory}.items()
    ]
    return [Figure("time of `up`", "s", seconds), *figures]


def _make_cold(layout: Layout) -> None:
    """Remove all that the stack keeps, and ask the system to forget the files of its software."""
    for path in layout.home.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    os.sync()
    for path in _files(layout.install.resolve()):
        # A file may be a dangling link or unreadable; it is not in the cache then.
        with suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        yield from (Path(folder) / name for name in names)


def _up(bed: Testbed, name: str) -> float:
    began = time.monotonic()
    bed.qimo("up")
    seconds = time.monotonic() - began
    say(f"{name}: up in {seconds:.0f} s")
    return seconds


def _resident(bed: Testbed) -> dict[str, float]:
    """Return the resident memory of each service and of the stream, in MiB."""
    found = json.loads(bed.qimo("status", "--json", check=False).stdout)["components"]
    memory = {item["name"]: float(item["rss_mb"] or 0) for item in found}
    code_server = next(item["pid"] for item in found if item["name"] == CODE_SERVER)
    memory[STREAM] = _stream_bytes(psutil.Process(code_server)) / MIB
    memory[CODE_SERVER] -= memory[STREAM]
    return memory


def _stream_bytes(code_server: psutil.Process) -> int:
    """Return the memory of the process that has a JVM for a child, and of all below it."""
    drivers = [
        process.parent()
        for process in code_server.children(recursive=True)
        if "pyspark-shell" in process.cmdline()
    ]
    return resident_bytes(
        member
        for driver in drivers
        if driver
        for member in [driver, *driver.children(recursive=True)]
    )
