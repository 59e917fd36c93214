"""The processes of a stack, by what they run."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from qimo_assets.instance.leftovers import is_of_a_run
from qimo_assets.settings import LOOPBACK
from qimo_assets_tests.conftest import Stack


def processes_of(stack: Stack) -> list[psutil.Process]:
    """Return every process that runs with this stack's QIMO_HOME."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("QIMO_HOME") == str(stack.home)
    ]


def driver_jvm(stack: Stack) -> psutil.Process:
    """Return the JVM of the live stream."""
    return only(
        process
        for process in processes_of(stack)
        if runs(process, "java") and runs(process, "pyspark-shell")
    )


def stream_executors(stack: Stack) -> list[psutil.Process]:
    """Return the executors of the live stream: those that report to a port of its driver."""
    ports = {
        connection.laddr.port
        for connection in driver_jvm(stack).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    drivers = [f"CoarseGrainedScheduler@{LOOPBACK}:{port}" for port in ports]
    return [
        process
        for process in executors(stack)
        if any(
            runs(process, "--driver-url", f"spark://{driver}", "--executor-id")
            for driver in drivers
        )
    ]


def executors(stack: Stack) -> list[psutil.Process]:
    """Return the executors of every driver; YARN's shells, which have an executor's command line in
    their own, are none.
    """
    return [
        process
        for process in processes_of(stack)
        if runs(process, "--executor-id") and command_line(process).split(" ")[0].endswith("/java")
    ]


def run_processes(stack: Stack) -> list[psutil.Process]:
    """Return the processes of Dagster's runs, the stream's own among them."""
    return [process for process in processes_of(stack) if is_of_a_run(process)]


def runs(process: psutil.Process, *words: str) -> bool:
    """Return whether these words stand one after the other in a process's command line."""
    return " ".join(words) in command_line(process)


def command_line(process: psutil.Process) -> str:
    """Return a process's command line; one that has ended, or that nobody has asked for its end
    yet, has none.
    """
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def only(processes: Iterator[psutil.Process]) -> psutil.Process:
    """Return the one process that there is."""
    found = list(processes)
    assert len(found) == 1, f"one process was expected, there are {len(found)}"
    return found[0]
