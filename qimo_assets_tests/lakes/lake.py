"""A lake of a test's own: a topic, a database and checkpoints on the shared systems, and a
streaming job that may be killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from qimo_assets.clients import librdkafka_options
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import Settings
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import common_environment
from qimo_assets_tests.conftest import Stack, environment, wait_for
from qimo_assets_tests.hdfs import hdfs
from qimo_assets_tests.records import event

PARTITIONS = 2
# Three batches of a driver, which needs half a minute to its first one on a machine of two
# processors, and minutes on a busy one.
LINES, LINES_PER_BATCH = 480, 240
DRIVER_SECONDS, TIMED_OUT = 600, -1
PACKAGE, DRIVER = "qimo_assets_tests.lakes", "driver"
# For a few hundred lines, compiling the plan takes longer than all the work.
UNCOMPILED = {"spark.sql.codegen.wholeStage": "false"}


@dataclass
class WarmDriver:
    """A process that does the runs of a session that are let come to their end.

    Attributes:
        directory: Where it works, and logs what belongs to no run.
    """

    directory: Path
    _process: subprocess.Popen[bytes] | None = None

    def run(self, mode: str, env: Mapping[str, str], log: Path) -> int:
        """Do a run to its end; return what its process would have exited with."""
        process = self._process = self._process or self._start(env)
        assert process.stdin
        assert process.stdout
        asked = {"mode": mode, "env": dict(env), "log": str(log)}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], DRIVER_SECONDS)
        answer = process.stdout.readline() if ready else b""
        if not answer:
            self.end()
        return int(answer) if answer else TIMED_OUT

    def end(self) -> None:
        """End it with its JVM."""
        if self._process:
            kill(self._process)
            self._process = None

    def _start(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.directory / "warm_driver.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"{PACKAGE}.{DRIVER}", "serve", "none"],
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
            )


@dataclass
class Lake:
    """What one test writes, and how.

    Attributes:
        stack: The shared systems.
        name: Name of the topic, of the database and of the consumer group.
        warm: Does the runs that come to their end.
        env: Settings of the driver that are not the usual ones.
        sent: Lines sent so far.
        deleted: Numbers of lines that the topic lost before they were read.
        driver: The module that runs the streaming job.
    """

    stack: Stack
    name: str
    warm: WarmDriver
    env: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    deleted: set[int] = field(default_factory=set)
    driver: str = DRIVER

    @property
    def layout(self) -> Layout:
        """Where the stack is."""
        return self.stack.layout()

    @property
    def settings(self) -> Settings:
        """The settings that the driver has."""
        with environment(self.environment()):
            return Settings()  # pyright: ignore[reportCallIssue]  # the values come from the file and the environment

    @property
    def kafka(self) -> KafkaResource:
        """The topic."""
        return KafkaResource.from_settings(self.settings.kafka)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask HiveServer2 in a session of its own."""
        with HiveResource.from_settings(self.settings.hive).session() as session:
            return [tuple(row.values()) for row in session.query(query)]

    def environment(self) -> dict[str, str]:
        """Return the variables that make the driver use this lake."""
        own = {
            "QIMO_KAFKA__TOPIC": self.name,
            "QIMO_KAFKA__PARTITIONS": str(PARTITIONS),
            "QIMO_KAFKA__PROGRESS_GROUP": self.name,
            "QIMO_LAKE__DATABASE": self.name,
            "QIMO_LAKE__CHECKPOINT": f"{self.stack.settings().lake.checkpoint}-{self.name}",
            "QIMO_LAKE__TRIGGER_SECONDS": "0",
            "QIMO_LAKE__MAX_LINES_PER_BATCH": str(LINES_PER_BATCH),
            "QIMO_SPARK__DRIVER_MEMORY": "1g",
            "QIMO_SPARK__CONF": json.dumps(UNCOMPILED),
        }
        return {**self.stack.env, **common_environment(self.layout), **own, **self.env}

    def send(self, lines: int = LINES) -> None:
        """Send numbered lines: each fifth is bad, each second has an origin as Flume gives it, and
        of those each third is sent twice.
        """
        producer = Producer(librdkafka_options(self.settings.kafka))
        for number in range(self.sent, self.sent + lines):
            value = (
                event(
                    line(number), host="chat", file="/logs/chat.log", byteoffset=str(100 * number)
                )
                if number % 2
                else line(number)
            )
            for _ in range(2 if number % 6 == 1 else 1):
                producer.produce(self.name, value, partition=number % PARTITIONS)
        assert producer.flush(60) == 0
        self.sent += lines

    def start(self, mode: str, crash: str = "none") -> subprocess.Popen[bytes]:
        """Start the streaming job in a process group of its own."""
        command = [
            sys.executable,
            "-m",
            f"{PACKAGE}.{self.driver}",
            mode,
            crash,
        ]
        with self._log.open("a") as log:
            return subprocess.Popen(
                command,
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.layout.run,
            )

    def wait_for(self, process: subprocess.Popen[bytes], what: Callable[[], bool]) -> None:
        """Wait until something is true while a driver runs."""

        def is_so() -> bool:
            assert process.poll() is None, self.log()[-3000:]
            return what()

        wait_for(is_so, DRIVER_SECONDS)

    def run(self, mode: str = "catch_up", crash: str = "none") -> int:
        """Run the streaming job to its end; return its exit status."""
        # Another contract, and options of the JVM, need a process of their own.
        if (self.driver, crash) == (DRIVER, "none") and "QIMO_SPARK__CONF" not in self.env:
            return self.warm.run(mode, self.environment(), self._log)
        process = self.start(mode, crash)
        try:
            return process.wait(DRIVER_SECONDS)
        finally:
            kill(process)

    def finish(self, mode: str = "catch_up") -> None:
        """Run the streaming job to its good end."""
        assert self.run(mode) == 0, self.log()[-3000:]

    def crash(self, mode: str, crash: str) -> None:
        """Run the streaming job up to its crash."""
        assert self.run(mode, crash) == -signal.SIGKILL, self.log()[-3000:]

    def refused(self, mode: str = "catch_up") -> str:
        """Run the streaming job, which fails, and return what it printed."""
        before = len(self.log())
        assert self.run(mode) == 1, self.log()[-3000:]
        return self.log()[before:]

    def log(self) -> str:
        """Return what the drivers have printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.layout.log / f"{self.name}.log"

    def rows(self, table: str) -> list[tuple[int, str]]:
        """Return number and message id of each row."""
        text = "message" if table == "chat_message" else "decode(raw, 'UTF-8')"
        return [
            (int(text.rpartition(" ")[2]), key)
            for text, key in self.ask(f"SELECT {text}, message_id FROM {self.name}.{table}_rt")
        ]

    def assert_once(self) -> None:
        """Each line that was sent is one row of the right table, under an id of its own."""
        expected = set(range(self.sent)) - self.deleted
        good, bad = self.rows("chat_message"), self.rows("chat_quarantine")
        assert sorted(number for number, _ in good) == sorted(
            number for number in expected if number % 5
        )
        assert sorted(number for number, _ in bad) == sorted(
            number for number in expected if not number % 5
        )
        assert len({key for _, key in good + bad}) == len(expected)

    def timeline(self, table: str) -> list[str]:
        """Return the names of the files of a table's timeline."""
        found = hdfs(
            self.layout, f"/warehouse/{self.name}.db/{table}/.hoodie/timeline", "LISTSTATUS"
        )
        return [file["pathSuffix"] for file in found["FileStatuses"]["FileStatus"]] if found else []

    def under_way(self, table: str, action: str) -> bool:
        """Return whether a table's timeline has begun such an action and not ended it."""
        names = self.timeline(table)
        ended = {name.partition("_")[0] for name in names if "_" in name}
        # Hudi leaves the name of a commit out.
        state = "inflight" if action == "commit" else f"{action}.inflight"
        return any(
            found == state and instant not in ended
            for instant, _, found in (name.partition(".") for name in names)
        )

    def lose_checkpoints(self) -> None:
        """Delete the checkpoints' directory."""
        assert hdfs(self.layout, f"/checkpoints/chat_message-{self.name}", "DELETE", "DELETE")[
            "boolean"
        ]


def line(number: int) -> bytes:
    """Return a line that ends in its number; each fifth has too few fields."""
    if not number % 5:
        return f"bad {number}".encode()
    fields = [
        f"2024-05-0{1 + number % 3} 10:00:00",
        "",
        "A",
        *[""] * 8,
        "B",
        *[""] * 7,
        f"line {number}",
    ]
    return "\x01".join(fields).encode()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a driver with its JVM, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
