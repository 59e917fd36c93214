"""Starts, stops and describes the embedded stack through supervisord, which restarts
what crashes.
"""

from __future__ import annotations

import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy  # nosec B411  # the answers are supervisord's own, over a socket of this user's

import psutil
from supervisor.xmlrpc import SupervisorTransport

from qimo_assets.settings import LOOPBACK
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.jars import PYSPARK_HOME, version_of
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import Service, services

Report = Callable[[str], None]
PROBE_PAUSE_SECONDS = 0.5
SUPERVISOR_START_SECONDS = 10
# Whatever is left after supervisord's own stops is on its way out; what has not gone by then hangs
# and is killed.
END_SECONDS = 60
# supervisor.xmlrpc.Faults
ALREADY_STARTED = 60
NOT_RUNNING = 70


@dataclass(frozen=True)
class Component:
    """The state of one service, as `status` shows it."""

    name: str
    state: str
    pid: int | None
    port: int | None
    rss_mb: int | None
    version: str
    reason: str = ""


def start(
    layout: Layout,
    report: Report,
    only: set[str] | None = None,
    once_ready: Mapping[str, Callable[[], object]] | None = None,
) -> None:
    """Start the services in the order of their needs and wait until each answers.

    Args:
        layout: The stack.
        report: Gets one line for each service that became ready.
        only: Names of the services to start; None starts all.
        once_ready: For a service's name what to do once it answers and before those that need it
            are started.

    Raises:
        StackError: A port is taken, or a service does not answer in its time; the message names its
            log.
    """
    wanted = _wanted(layout, only)
    hooks = once_ready or {}
    refuse_taken_ports(layout, only)
    supervisor = _running_supervisor(layout) or _start_supervisor(layout)
    _adopt_changes(supervisor)
    ready: set[str] = set()
    with ThreadPoolExecutor(max_workers=len(wanted) or 1) as pool:
        waiting = {service.name: service for service in wanted}
        running: dict[str, Any] = {}
        while waiting or running:
            for service in [
                item
                for item in waiting.values()
                if not (set(item.after) & {one.name for one in wanted}) - ready
            ]:
                running[service.name] = pool.submit(
                    _start_one, layout, service, hooks.get(service.name)
                )
                del waiting[service.name]
            for name, future in [
                (name, future) for name, future in running.items() if future.done()
            ]:
                report(f"{name} is ready after {future.result():.0f} s")
                ready.add(name)
                del running[name]
            time.sleep(0.1)


def refuse_taken_ports(layout: Layout, only: set[str] | None = None) -> None:
    """Refuse to start where another process listens.

    Args:
        layout: The stack.
        only: Names of the services that are to start; None means all.

    Raises:
        StackError: A port of a service that does not run is taken; the message names each, and its
            owner.
    """
    supervisor = _running_supervisor(layout)
    states = _states(supervisor) if supervisor else {}
    taken = [
        f"port {layout.ports[name]} ({name}) is taken by {_owner(layout.ports[name])}; set "
        f"QIMO_PORT_{name.upper()} or QIMO_PORT_OFFSET"
        for service in _wanted(layout, only)
        if not states.get(service.name, {}).get("pid")
        for name in service.ports
        if _is_taken(layout.ports[name])
    ]
    if taken:
        raise StackError("\n".join(taken))


def stop(layout: Layout, report: Report, only: set[str] | None = None) -> bool:
    """Stop the services that the supervisor runs, in the reverse order of starting; without `only`
    the supervisor as well.

    Then it also waits for what they started: Spark's Java process outlives the run that it served
    by a second or two, in which it still deletes its files, and whoever removed QIMO_HOME at once
    met files that vanished. A run whose code server died is nobody's child.

    Returns:
        Whether the supervisor was running.
    """
    supervisor = _running_supervisor(layout)
    if supervisor is None:
        return False
    states = _states(supervisor)
    for service in reversed(services(layout)):
        if states.get(service.name, {}).get("pid") and (only is None or service.name in only):
            _stop_one(layout, service)
            report(f"{service.name} stopped")
    if only is None:
        process = psutil.Process(supervisor.supervisor.getPID())
        supervisor.supervisor.shutdown()
        for broken_off in _wait_for_end(layout.home, process):
            report(f"{broken_off} did not end within {END_SECONDS} s and was killed")
    return True


def components(layout: Layout) -> list[Component]:
    """Return the state of each service; each running one is asked its question."""
    supervisor = _running_supervisor(layout)
    states = _states(supervisor) if supervisor else {}
    with ThreadPoolExecutor(max_workers=12) as pool:
        return list(
            pool.map(
                lambda service: _component(layout, service, states.get(service.name, {})),
                services(layout),
            )
        )


def is_running(layout: Layout, name: str | None = None) -> bool:
    """Return whether the supervisor of this stack runs, and with it the service of this name."""
    supervisor = _running_supervisor(layout)
    return supervisor is not None and (
        name is None or bool(_states(supervisor).get(name, {}).get("pid"))
    )


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every process that was started with this QIMO_HOME, by whomever."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("QIMO_HOME") == str(home)
    ]


def _component(layout: Layout, service: Service, state: dict[str, Any]) -> Component:
    port = layout.ports[service.ports[0]] if service.ports else None
    pid = state.get("pid") or None
    reason = _unanswered(layout, service) if pid else keeps_failing(state)
    name = "unhealthy" if reason else ("running" if pid else "stopped")
    return Component(service.name, name, pid, port, _rss_mb(pid), _version(service), reason)


def keeps_failing(state: Mapping[str, Any]) -> str:
    """Say what is wrong with a service that ends again and again; empty for one that was stopped.

    Args:
        state: What supervisord tells of it.
    """
    if state.get("statename") not in ("BACKOFF", "FATAL"):
        return ""
    why = state.get("spawnerr") or "it ends at once"
    return f"keeps failing and is tried again ({why}); see ./qimo logs {state['name']}"


def _version(service: Service) -> str:
    if service.version_of == "python":
        return platform.python_version()
    if service.version_of == "hive":
        return next((PYSPARK_HOME / "jars").glob("hive-metastore-*.jar")).stem.removeprefix(
            "hive-metastore-"
        )
    if service.version_of in ("pyspark", "dagster", "dagster-webserver", "starlette"):
        return package_version(service.version_of)
    return version_of(service.version_of)


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the resident memory of processes, of which each has its part of a page that several
    share: Dagster's runs and Spark's workers are forked, and share most of theirs.
    """
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def _rss_mb(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        return resident_bytes([process, *process.children(recursive=True)]) >> 20
    except psutil.NoSuchProcess:
        return None


def _unanswered(layout: Layout, service: Service) -> str:
    try:
        service.probe(layout)
    except Exception as error:  # noqa: BLE001  # each client library has exceptions of its own; all of them mean "no right answer"
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def _start_one(layout: Layout, service: Service, once_ready: Callable[[], object] | None) -> float:
    """Start one service, do what is to be done once it answers, and return the seconds that it
    took.
    """
    began = time.monotonic()
    supervisor = _proxy(layout)
    if supervisor.supervisor.getProcessInfo(service.name)["statename"] == "BACKOFF":
        # At once, instead of after the pause that has grown.
        _stop_one(layout, service)
    try:
        supervisor.supervisor.startProcess(service.name, False)
    except Fault as fault:
        if fault.faultCode != ALREADY_STARTED:
            raise StackError(
                f"{service.name} could not be started: {fault.faultString}; see "
                f"{layout.log / service.name}.log"
            ) from None
    while reason := _unanswered(layout, service):
        if time.monotonic() - began > service.start_seconds:
            raise StackError(
                f"{service.name} did not answer within {service.start_seconds} s "
                f"({reason}).\n{_tail(layout, service)}\n"
                f"The whole log is {layout.log / service.name}.log"
            )
        time.sleep(PROBE_PAUSE_SECONDS)
    if once_ready:
        once_ready()
    return time.monotonic() - began


def _stop_one(layout: Layout, service: Service) -> None:
    try:
        _proxy(layout).supervisor.stopProcess(service.name, True)
    except Fault as fault:
        if fault.faultCode != NOT_RUNNING:
            raise StackError(f"{service.name} could not be stopped: {fault.faultString}") from None


def _tail(layout: Layout, service: Service) -> str:
    log = layout.log / f"{service.name}.log"
    return (
        "\n".join(log.read_text(errors="replace").splitlines()[-8:]) if log.exists() else "(no log)"
    )


def _proxy(layout: Layout) -> Any:
    # supervisord speaks XML-RPC over the Unix socket; the address is a form that ServerProxy
    # insists on.
    return ServerProxy(
        "http://localhost",
        transport=SupervisorTransport(None, None, f"unix://{layout.supervisor_socket}"),
    )


def _running_supervisor(layout: Layout) -> Any | None:
    if not layout.supervisor_socket.exists():
        return None
    proxy = _proxy(layout)
    try:
        proxy.supervisor.getState()
    except OSError:
        return None
    return proxy


def _start_supervisor(layout: Layout) -> Any:
    program = Path(sys.executable).parent / "supervisord"
    log = layout.log / "supervisord.start.log"
    with log.open("w") as output:
        status = subprocess.run(
            [program, "-c", layout.etc / "supervisord.conf"],
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=30,
        ).returncode
    if status != 0:
        raise StackError(f"supervisord did not start:\n{log.read_text()}")
    deadline = time.monotonic() + SUPERVISOR_START_SECONDS
    while time.monotonic() < deadline:
        if proxy := _running_supervisor(layout):
            return proxy
        time.sleep(0.1)
    raise StackError(
        f"supervisord does not answer on {layout.supervisor_socket}; see "
        f"{layout.log / 'supervisord.log'}."
    )


def _adopt_changes(supervisor: Any) -> None:
    """Let a running supervisor take configurations that changed; what they leave as it was is not
    touched.
    """
    added, changed, removed = supervisor.supervisor.reloadConfig()[0]
    for name in [*changed, *removed]:
        supervisor.supervisor.stopProcessGroup(name)
        supervisor.supervisor.removeProcessGroup(name)
    for name in [*added, *changed]:
        supervisor.supervisor.addProcessGroup(name)


def _wanted(layout: Layout, only: set[str] | None) -> list[Service]:
    return [service for service in services(layout) if only is None or service.name in only]


def _states(supervisor: Any) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in supervisor.supervisor.getAllProcessInfo()}


def _is_taken(port: int) -> bool:
    with socket.socket() as listener:
        # As the servers do: a port whose last connections still linger is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _owner(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.pid:
            return _described(psutil.Process(connection.pid))
    return "a process of another user"


def _described(process: psutil.Process) -> str:
    command = re.sub(r"[^ -~]", "?", " ".join(process.cmdline())[:80])
    return f"process {process.pid} ({command})"


def _wait_for_end(home: Path, supervisor: psutil.Process) -> list[str]:
    """Wait until nothing of the stack runs, and return what had to be killed."""
    deadline = time.monotonic() + END_SECONDS
    while left := [process for process in [supervisor, *_supervised(home)] if _lives(process)]:
        if time.monotonic() > deadline:
            return [described for process in left if (described := _killed(process))]
        time.sleep(0.1)
    return []


def _killed(process: psutil.Process) -> str:
    """Kill a process, and return what it was; empty for one that has ended by itself."""
    try:
        described = _described(process)
        process.kill()
    except psutil.NoSuchProcess:
        return ""
    return described


def _supervised(home: Path) -> list[psutil.Process]:
    # supervisord gives this name to what it starts, and whatever that starts inherits it.
    return [
        process
        for process in processes_of(home)
        if "SUPERVISOR_PROCESS_NAME" in process.info["environ"]
    ]


def _lives(process: psutil.Process) -> bool:
    try:
        # In a container whose first process reaps nothing, an ended process stays as a zombie.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
