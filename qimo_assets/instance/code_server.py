"""Dagster's code server, which ends when it cannot serve, so that the supervisor starts it again.

`dagster code-server` holds the definitions in a worker that it starts once, and again only when
somebody reloads them. Without its worker it runs on and answers no call, for ever: no sensor, no
run, no page of the code location. A worker that begins while Dagster's storage is away holds the
error for ever as well, and is healthy to whoever asks (both seen with dagster 1.13.27).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import psutil

logger = logging.getLogger("qimo.code_server")

POLL_SECONDS = 2.0
# A reload starts the new worker before it ends the old one, so there is always one; definitions
# that do not load leave none, and then the server stays to show why.
WORKER = "api grpc"


def wait_for_loss(
    worker_pids: Callable[[], set[int]], sleep: Callable[[float], None] = time.sleep
) -> set[int]:
    """Wait until there is no worker any more after there was one.

    Args:
        worker_pids: Returns the workers that live.
        sleep: Waits between two looks.

    Returns:
        The workers of the last look that had any.
    """
    seen: set[int] = set()
    while True:
        found = worker_pids()
        if seen and not found:
            return seen
        seen = found
        sleep(POLL_SECONDS)


def living_workers() -> set[int]:
    """Return the processes that this one started to hold the definitions."""
    return {child.pid for child in psutil.Process().children() if is_living_worker(child)}


def is_living_worker(process: psutil.Process) -> bool:
    """Return whether a process holds the definitions for a code server."""
    try:
        # A dead child stays a zombie until its parent asks for it, which the server does each five
        # seconds.
        return process.status() != psutil.STATUS_ZOMBIE and WORKER in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _end_without_worker() -> None:
    lost = wait_for_loss(living_workers)
    logger.error(
        "The worker of the code server (process %s) is gone; the server ends, and the "
        "supervisor starts it again.",
        lost,
    )
    # Not sys.exit(), which ends this thread alone, and no shutdown: there is nobody left to be
    # told.
    os._exit(1)


def main() -> None:
    """Run `dagster` with the arguments given, watch the workers that it starts, and end the
    processes of runs that are over; end at once when the storage does not answer.
    """
    from dagster import DagsterInstance
    from dagster._cli import main as dagster

    from qimo_assets.instance.leftovers import sweep_for_ever

    with DagsterInstance.get() as instance:
        threading.Thread(target=_end_without_worker, name="worker-watch", daemon=True).start()
        threading.Thread(
            target=sweep_for_ever, args=(instance, time.sleep), name="leftovers", daemon=True
        ).start()
        dagster()


if __name__ == "__main__":
    main()
