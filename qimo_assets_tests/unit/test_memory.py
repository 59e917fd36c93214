"""What processes share is counted once."""

from __future__ import annotations

import subprocess
import sys

import psutil

from qimo_assets.stack.control import resident_bytes

HELD = 100 * 2**20
FORKED = f"""
import os, sys
held = bytearray(b"x" * {HELD})
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""


def test_what_forked_processes_share_is_counted_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        family = [psutil.Process(parent.pid), psutil.Process(int(parent.stdout.readline()))]
        assert sum(process.memory_info().rss for process in family) > 2 * HELD
        assert HELD < resident_bytes(family) < 1.5 * HELD
        parent.stdin.close()


def test_a_process_that_has_ended_has_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        known = psutil.Process(process.pid)
    assert resident_bytes([known]) == 0
