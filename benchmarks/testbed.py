"""The stack that a benchmark runs on: a temporary QIMO_HOME below the real one, with the same
software, and ports of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from pydantic_settings import TomlConfigSettingsSource

from qimo_assets.settings import PROJECT_ROOT, Settings, load_settings, qimo_home
from qimo_assets.stack import control, install
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.profiles import USUAL_PORTS
from qimo_assets.stack.services import common_environment

# Beside a stack at the usual offset and those of the tests, and below the ports that Linux gives to
# outgoing connections (32,768 and more).
DEFAULT_PORT_OFFSET = 22_200
# What is measured may be tuned from outside; where its data goes may not.
TUNABLE = ("QIMO_LAKE__", "QIMO_SPARK__", "QIMO_KAFKA__")
FOREIGN = ("QIMO_", "DAGSTER_", "SPARK_", "HADOOP_")
# The first `up` formats everything; a recount waits until nothing has moved for minutes.
COMMAND_SECONDS = 900
BEGAN = time.monotonic()


class BenchError(StackError):
    """A benchmark cannot go on; the message says why."""


@dataclass(frozen=True)
class Testbed:
    """A stack of a benchmark's own, of which nothing runs at first; this process has its
    environment.
    """

    layout: Layout

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        load_settings.cache_clear()
        return load_settings()

    def start(self, *services: str) -> None:
        """Start some services and wait until they answer."""
        install.format_data(self.layout)
        control.start(self.layout, say, only=set(services))

    def qimo(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `qimo` command on this stack.

        Raises:
            BenchError: It ended with another status than 0, and `check` was asked for.
        """
        return self.python("-m", "qimo_assets.cli", *arguments, check=check)

    def python(
        self, *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python on this stack.

        Args:
            arguments: Those of Python.
            check: Whether another status than 0 is an error.
            variables: Environment variables beside those of the stack.

        Raises:
            BenchError: It ended with another status than 0, and `check` was asked for.
        """
        env = {**os.environ, **(variables or {})}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT_ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if check and done.returncode != 0:
            raise BenchError(
                f"{' '.join(arguments)} ended with "
                f"{done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )
        return done

    def processor_seconds(self, service: str) -> float:
        """Return the processor time that a running service has taken so far, of its own process."""
        [pid] = [item.pid for item in control.components(self.layout) if item.name == service]
        return processor_seconds(psutil.Process(pid))

    def resident_mb(self) -> float:
        """Return the resident memory of all its processes, in MiB."""
        return control.resident_bytes(control.processes_of(self.layout.home)) / 2**20


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time that a process has taken so far."""
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def testbed(name: str, port_offset: int) -> Generator[Testbed, None, None]:
    """Make a stack for a benchmark, and afterwards end what runs of it and remove its directory.

    Args:
        name: The benchmark.
        port_offset: Added to each usual port.

    Raises:
        BenchError: The same benchmark runs already.
    """
    software = qimo_home() / "install"
    layout = Layout(
        qimo_home() / "bench" / name,
        {service: port + port_offset for service, port in USUAL_PORTS.items()},
    )
    _clear(layout)
    software.mkdir(parents=True, exist_ok=True)
    layout.home.mkdir(parents=True)
    layout.install.symlink_to(software)
    given = dict(os.environ)
    try:
        with _environment(
            {
                **_without_foreign(given),
                **common_environment(layout),
                "QIMO_PORT_OFFSET": str(port_offset),
            }
        ):
            install.install(layout)
            install.configure(layout)
            os.environ.update(tuning(given, layout.home / "qimo.toml"))
            yield Testbed(layout)
    finally:
        _end(layout)


def tuning(variables: Mapping[str, str], file: Path) -> dict[str, str]:
    """Return the settings in the environment that a benchmark takes over: those that tune, but for
    those that the stack's own file sets.

    Args:
        variables: The environment.
        file: The settings file of the benchmark's stack.
    """
    own = {
        f"QIMO_{group}__{name}".upper()
        for group, values in TomlConfigSettingsSource(Settings, file)().items()
        for name in values
    }
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(TUNABLE) and name.upper() not in own
    }


def say(text: str) -> None:
    """Tell how far a benchmark is, beside what it prints."""
    click.echo(f"{time.monotonic() - BEGAN:6.0f} s  {text}", err=True)


def wait_for(what: Callable[[], Any], seconds: float, pause: float, name: str) -> Any:
    """Return the first true answer.

    Args:
        what: What is asked.
        seconds: How long at most.
        pause: Seconds between two questions.
        name: What it is that is waited for.

    Raises:
        BenchError: There was none in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise BenchError(f"{name}: not within {seconds:.0f} s.")
        time.sleep(pause)
    return answer


def _without_foreign(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in variables.items()
        if not name.startswith(FOREIGN) or name == "QIMO_JAVA"
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None, None, None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        load_settings.cache_clear()


def _clear(layout: Layout) -> None:
    """Remove what a benchmark that was killed has left."""
    if control.is_running(layout):
        raise BenchError(
            f"A stack runs in {layout.home}: the same benchmark, or what one that was "
            f"killed has left; end it with QIMO_HOME={layout.home} ./qimo down."
        )
    if layout.home.exists():
        shutil.rmtree(layout.home)


def _end(layout: Layout) -> None:
    """End every process of this QIMO_HOME and remove the directory."""
    control.stop(layout, say)
    left = control.processes_of(layout.home)
    for process in left:
        process.terminate()
    for process in psutil.wait_procs(left, timeout=30)[1]:
        process.kill()
    psutil.wait_procs(left, timeout=10)
    shutil.rmtree(layout.home)
    if not any(layout.home.parent.iterdir()):
        layout.home.parent.rmdir()
