"""Forks the processes of runs from one that has loaded the definitions.

Dagster's code server starts a new Python for each run, which loads everything anew: 2 s of a
processor. The queue launches one run after the other, and each launch waits for the process to have
loaded Dagster.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerProcess


def fork_runs(*modules: str) -> None:
    """Have this process, where it serves the definitions, fork its runs by Python's fork server.

    Nothing starts before the first run. Runs go on when this process ends; the fork server ends
    with the last of them.

    Args:
        modules: What a run finds loaded. They may start no thread: a fork has none of them.
    """
    multiprocessing.set_forkserver_preload(list(modules))
    # Dagster asks for `spawn` and has no option for it.
    multiprocessing.get_context("spawn").Process = ForkServerProcess  # pyright: ignore[reportAttributeAccessIssue]  # declared as the other kind
