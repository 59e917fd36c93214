"""A topic of a benchmark's own, how many records it holds, and the agents that fill it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.testbed import Testbed, say, wait_for
from qimo_assets.clients import librdkafka_options
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import KafkaSettings, Settings
from qimo_assets.source.links import keep, read_configuration
from qimo_assets.source.render import write_agent_configuration
from qimo_assets.stack.services import common_environment, services

# An agent reads at tens of thousands of lines a second; it is given up at a thousand.
SLOWEST_LINES_PER_SECOND = 1_000
START_SECONDS = 120
POLL_SECONDS = 0.01


class TopicEnds:
    """How many records a topic holds, asked over one connection that is kept."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._timeout = kafka.timeout_seconds
        self._consumer = Consumer(
            {**librdkafka_options(kafka), "group.id": "qimo-bench", "enable.auto.commit": False}
        )
        self._partitions = [
            TopicPartition(kafka.topic, number) for number in range(kafka.partitions)
        ]

    def total(self) -> int:
        """Return the number of records that ever arrived.

        Raises:
            KafkaException: The broker gives no answer in its time.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return sum(
                    self._consumer.get_watermark_offsets(partition, timeout=self._timeout)[1]
                    for partition in self._partitions
                )
            except KafkaException:
                # In the first moments of a topic its partitions have no leader.
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


@contextmanager
def topic(settings: Settings, name: str) -> Generator[Settings, None, None]:
    """Make a topic, give the settings that name it, and delete it."""
    kafka = settings.kafka.model_copy(update={"topic": name, "progress_group": name})
    KafkaResource.from_settings(kafka).ensure_topic()
    try:
        yield settings.model_copy(update={"kafka": kafka})
    finally:
        admin = AdminClient(librdkafka_options(kafka))
        admin.delete_topics([name], operation_timeout=kafka.timeout_seconds)[name].result(
            timeout=kafka.timeout_seconds
        )


@dataclass(frozen=True)
class Agent:
    """An agent that runs, on a log directory of its own.

    Attributes:
        settings: The settings that its configuration is rendered from.
        process: Its process.
        configuration: Its configuration.
    """

    settings: Settings
    process: psutil.Process
    configuration: Path

    def add(self, directory: Path) -> None:
        """Put log files into its directory, as hard links, all at once for the agent."""
        for path in sorted(directory.iterdir()):
            (self.settings.source.log_dir / path.name).hardlink_to(path)
        keep(read_configuration(self.configuration))


@contextmanager
def running_agent(bed: Testbed, settings: Settings, name: str) -> Generator[Agent, None, None]:
    """Run an agent as the stack runs its own, on an empty log directory; the keeper of its links
    works when files are added.

    Args:
        bed: The stack, of which the broker runs.
        settings: They name the agent's configuration and the topic.
        name: Name of the directory for what it keeps.
    """
    home = bed.layout.run / name
    paths = {
        "log_dir": home / "chat",
        "link_dir": home / "links",
        "position_file": home / "positions.json",
    }
    settings = settings.model_copy(update={"source": settings.source.model_copy(update=paths)})
    settings.source.log_dir.mkdir(parents=True)
    configuration = home / "agent.properties"
    write_agent_configuration(settings, configuration)
    keep(read_configuration(configuration))
    command = next(service.command for service in services(bed.layout) if service.name == "flume")
    with (bed.layout.log / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [*command[:-1], str(configuration)],
            env=common_environment(bed.layout),
            stdout=log,
            stderr=log,
        )
    try:
        yield Agent(settings, psutil.Process(process.pid), configuration)
    finally:
        process.kill()
        process.wait()
        # Its links would keep the log files: a quarter of a gigabyte for each million lines.
        shutil.rmtree(home)


def fill(bed: Testbed, settings: Settings, directory: Path, lines: int) -> None:
    """Let the default agent carry log files into the topic, and wait until it holds them.

    Args:
        bed: The stack, of which the broker runs.
        settings: They name the topic.
        directory: The log files.
        lines: How many lines they have.
    """
    ends = TopicEnds(settings.kafka)
    before = ends.total()
    with running_agent(bed, settings, f"fill-{directory.name}") as agent:
        agent.add(directory)
        await_lines(ends, before + lines, lines)
    ends.close()
    say(f"topic {settings.kafka.topic} holds {lines:,} lines")


def await_lines(ends: TopicEnds, total: int, lines: int) -> int:
    """Wait until a topic holds so many records, of which so many are under way, and return how many
    it holds.

    Raises:
        BenchError: It does not in the time that the slowest agent would take.
    """
    seconds = START_SECONDS + lines / SLOWEST_LINES_PER_SECOND
    return wait_for(
        lambda: (found := ends.total()) >= total and found,
        seconds,
        POLL_SECONDS,
        f"{total:,} records in the topic",
    )
