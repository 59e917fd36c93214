"""The faults as data: what is hit, and how. Each is a context that does the harm when entered; what
does not end by itself ends with it.

Nothing here helps the platform back: a killed process is started again by whoever should, or the
row of the matrix says that it was not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import psutil
import pytest
from mysql.connector import Error as MySQLError
from mysql.connector import connect

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack import control
from qimo_assets.stack.profiles import Profile
from qimo_assets.timeouts import KILL_AFTER_SECONDS, STREAM_STALLED_SECONDS
from qimo_assets_tests.conftest import Stack, wait_for
from qimo_assets_tests.processes import (
    driver_jvm,
    only,
    processes_of,
    run_processes,
    runs,
    stream_executors,
)

PAUSE_SECONDS = 60
# A metric run takes about this long after the start of its process.
RUN_SECONDS = 8.0
WAIT_FOR_RUN_SECONDS = 240
FULL_SECONDS = 40
# Small, so that not much of a disk is left beside the ballast.
BALLAST_BLOCK = 4096
HDFS_DISK, MYSQL_DISK = "data/hdfs/data", "data/mysql"
TRIGGER = "fault_sleeps"
# The table of the trigger, and how long each row that is deleted from it takes: the kill meets the
# transaction after its DELETE.
SLOWED_TABLE, SLEEP_SECONDS = "message_total", 5

Hit = Callable[[Stack, Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """One way to do harm.

    Attributes:
        name: Its name in the table.
        hit: Does the harm to a stack.
        on_data_path: Whether every line passes what is hit; the full matrix hits it several times.
        in_reduced: Whether the reduced matrix has it.
        flow: Names the flow of lines of the reduced matrix that it shares with others, which
            neither wait for what it hits nor hide what it does; without a name it hits alone.
        unnoticed_seconds: How long the platform waits before it takes this for a fault, and ends
            what hangs.
    """

    name: str
    hit: Hit
    on_data_path: bool = False
    in_reduced: bool = True
    flow: str | None = None
    unnoticed_seconds: float = 0


@contextmanager
def nothing(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Do no harm: how long a line takes to MySQL when nothing is hit."""
    yield


def kill(service: str) -> Hit:
    """Return the kill -9 of the process that the supervisor started for a service."""

    @contextmanager
    def hit(stack: Stack, random: Random) -> Generator[None, None, None]:
        os.kill(service_pid(stack, service), signal.SIGKILL)
        yield

    return hit


def kill_one_of(members: Callable[[Profile], Sequence[str]]) -> Hit:
    """Return the kill -9 of one of the services that do the same work, which one is left to chance.

    Args:
        members: Gives their names.
    """

    @contextmanager
    def hit(stack: Stack, random: Random) -> Generator[None, None, None]:
        os.kill(service_pid(stack, random.choice(members(stack.layout().profile))), signal.SIGKILL)
        yield

    return hit


def pause(service: str) -> Hit:
    """Return a stop of a service's process that lasts for `PAUSE_SECONDS`, as a machine
    that hangs.
    """

    @contextmanager
    def hit(stack: Stack, random: Random) -> Generator[None, None, None]:
        pid = service_pid(stack, service)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
            time.sleep(PAUSE_SECONDS)
        finally:
            os.kill(pid, signal.SIGCONT)

    return hit


@contextmanager
def kill_driver(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill the run of the stream: the Python process that drives the JVM."""
    driver_jvm(stack).parent().kill()  # pyright: ignore[reportOptionalMemberAccess]  # a JVM without a parent fails the row
    yield


@contextmanager
def kill_driver_jvm(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill the JVM of the stream and leave its Python process."""
    driver_jvm(stack).kill()
    yield


@contextmanager
def hang_driver_jvm(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Stop the JVM of the stream for good, as one that hangs: the supervising sensor has to see
    that nothing moves.
    """
    driver_jvm(stack).suspend()
    yield


@contextmanager
def kill_executor(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill one of the processes that do the stream's work outside of its driver."""
    random.choice(wait_for(lambda: stream_executors(stack))).kill()
    yield


@contextmanager
def kill_code_worker(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill the process in which the code server holds the definitions, and not the one that the
    supervisor knows.
    """
    # After a kill of the code server its old worker goes on beside the new one, for the runs that
    # it started.
    server = psutil.Process(service_pid(stack, "dagster-code"))
    only(process for process in server.children() if runs(process, "dagster", "api", "grpc")).kill()
    yield


@contextmanager
def kill_fork_server(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill the process that the stream's run is forked from: the run goes on, and Dagster takes it
    for dead.
    """
    driver_jvm(stack).parents()[1].kill()
    yield


@contextmanager
def kill_metric_run(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill the next run of metrics at a random moment of it."""
    deadline = time.monotonic() + WAIT_FOR_RUN_SECONDS
    while time.monotonic() < deadline:
        old = {process.pid for process in run_processes(stack)}
        run = wait_for(
            lambda old=old: next(
                (process for process in run_processes(stack) if process.pid not in old), None
            ),
            WAIT_FOR_RUN_SECONDS,
        )
        time.sleep(random.uniform(0, RUN_SECONDS))
        with suppress(psutil.NoSuchProcess):
            run.kill()
            break
    yield


@contextmanager
def kill_mysql_in_transaction(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill MariaDB while a publication has deleted a day's rows and not committed the new ones."""
    # Not before an insert: in MariaDB such a trigger lets INSERT ... SELECT find NULL in columns
    # that have a value.
    trigger = (
        f"CREATE OR REPLACE TRIGGER {TRIGGER} AFTER DELETE ON {SLOWED_TABLE} FOR EACH ROW "
        f"DO SLEEP({SLEEP_SECONDS})"
    )
    pid = service_pid(stack, "mysql")
    try:
        with _root(stack) as cursor:
            cursor.execute(trigger)
            wait_for(lambda: _publication_sleeps(cursor), WAIT_FOR_RUN_SECONDS)
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        wait_for(lambda: _drop_trigger(stack))


def fill(disk: str) -> Hit:
    """Return the filling up of a small disk for `FULL_SECONDS`.

    Args:
        disk: The disk's directory under QIMO_HOME; only the stack's own processes see what is
            mounted there.
    """

    @contextmanager
    def hit(stack: Stack, random: Random) -> Generator[None, None, None]:
        ballast = Path(f"/proc/{service_pid(stack, 'kafka')}/root{stack.home}/{disk}/ballast")
        try:
            with pytest.raises(OSError, match="No space left"):
                _write_for_ever(ballast)
            yield
            time.sleep(FULL_SECONDS)
        finally:
            ballast.unlink()

    return hit


@contextmanager
def reboot(stack: Stack, random: Random) -> Generator[None, None, None]:
    """Kill every process of the stack at once, the supervisor first, then start it as after a
    reboot.
    """
    everything = processes_of(stack)
    for process in sorted(everything, key=lambda process: not runs(process, "supervisord")):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(everything, timeout=10)
    yield
    subprocess.Popen(
        [PROJECT_ROOT / "qimo", "up"],
        env=stack.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


FAULTS: tuple[Fault, ...] = (
    Fault("nothing", nothing, in_reduced=False),
    Fault("kill -9 flume", kill("flume"), on_data_path=True, flow="agent"),
    Fault("kill -9 kafka", kill("kafka"), on_data_path=True, flow="topic"),
    Fault("kill -9 streaming driver", kill_driver, on_data_path=True),
    Fault("kill -9 streaming driver's JVM", kill_driver_jvm, in_reduced=False),
    Fault("kill -9 mysql", kill("mysql"), on_data_path=True, flow="stores"),
    Fault("kill -9 mysql in a publication", kill_mysql_in_transaction, in_reduced=False),
    Fault("kill -9 namenode", kill("namenode"), flow="agent"),
    Fault("kill -9 datanode", kill("datanode"), flow="stores"),
    Fault("kill -9 metastore", kill("metastore"), flow="agent"),
    Fault("kill -9 thriftserver", kill("thriftserver"), flow="topic"),
    Fault("kill -9 dagster-daemon", kill("dagster-daemon"), flow="stores"),
    Fault("kill -9 dagster-webserver", kill("dagster-webserver"), flow="agent"),
    Fault("kill -9 dagster-code", kill("dagster-code"), flow="topic"),
    Fault("kill -9 dagster-code's worker", kill_code_worker, in_reduced=False),
    Fault("kill -9 the runs' fork server", kill_fork_server, in_reduced=False),
    Fault("kill -9 a metric run", kill_metric_run, flow="topic"),
    Fault("kill -9 links", kill("links"), flow="agent"),
    Fault("kill -9 report", kill("report"), flow="agent"),
    Fault(
        "stop streaming driver's JVM for good",
        hang_driver_jvm,
        in_reduced=False,
        unnoticed_seconds=STREAM_STALLED_SECONDS + KILL_AFTER_SECONDS,
    ),
    Fault(f"stop kafka for {PAUSE_SECONDS} s", pause("kafka"), in_reduced=False),
    Fault(f"stop mysql for {PAUSE_SECONDS} s", pause("mysql"), in_reduced=False),
    Fault("reboot: kill -9 of everything, then up", reboot, in_reduced=False),
)
# Of a stack that is a cluster.
CLUSTER_FAULTS: tuple[Fault, ...] = (
    Fault("kill -9 one of the brokers", kill_one_of(lambda profile: profile.brokers)),
    Fault("kill -9 one of the data nodes", kill_one_of(lambda profile: profile.data_nodes)),
    Fault("kill -9 one of the Spark workers", kill_one_of(lambda profile: profile.spark_workers)),
    Fault("kill -9 one of the stream's executors", kill_executor),
    Fault("kill -9 spark-master", kill("spark-master")),
)
# Of a stack with YARN.
YARN_FAULTS: tuple[Fault, ...] = (
    Fault("kill -9 one of the stream's executors", kill_executor),
    Fault("kill -9 resourcemanager", kill("resourcemanager")),
    Fault("kill -9 nodemanager", kill("nodemanager")),
    # Both managers remember applications and containers that are no more.
    Fault("reboot: kill -9 of everything, then up", reboot),
)
# Directory under QIMO_HOME -> size of the disk that is mounted there for these two. Hudi asks for a
# block of 512 MB for each log file that it appends to, which the data node keeps free until it is
# closed, with 1 GB beside them (additional-available-space). MariaDB's empty databases take 208 MB.
SMALL_DISKS = {HDFS_DISK: "4g", MYSQL_DISK: "320m"}
FULL_DISKS: tuple[Fault, ...] = (
    Fault(f"HDFS disk full for {FULL_SECONDS} s", fill(HDFS_DISK)),
    Fault(f"MySQL disk full for {FULL_SECONDS} s", fill(MYSQL_DISK)),
)


def service_pid(stack: Stack, service: str) -> int:
    """Return the process that the supervisor runs for a service."""
    pid = next(
        component.pid
        for component in control.components(stack.layout())
        if component.name == service
    )
    assert pid, f"{service} does not run before it is hit"
    return pid


def _write_for_ever(path: Path) -> NoReturn:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(BALLAST_BLOCK))


@contextmanager
def _root(stack: Stack) -> Generator[Any, None, None]:
    """Give a cursor of the account that may make triggers; that of the host "localhost" comes by
    the socket.
    """
    layout = stack.layout()
    socket, password = str(layout.run / "mysql.sock"), layout.secret("mysql_root")
    connection = connect(
        unix_socket=socket,
        user="root",
        password=password,
        database="qimo_report",
        connection_timeout=10,
    )
    try:
        yield connection.cursor()
    finally:
        with suppress(MySQLError):
            connection.close()


def _publication_sleeps(cursor: Any) -> bool:
    # Not by account: a trigger runs as who made it, and MariaDB shows that one.
    cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'")
    return cursor.fetchone()[0] > 0


def _drop_trigger(stack: Stack) -> bool:
    try:
        with _root(stack) as cursor:
            cursor.execute(f"DROP TRIGGER IF EXISTS {TRIGGER}")
    except MySQLError:
        return False
    return True
