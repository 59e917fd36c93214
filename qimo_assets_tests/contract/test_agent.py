"""The identity of a physical line on the real agent: what becomes of each line in the topic when
files, agent and broker are ill-treated.

Flume, the keeper of its links and Kafka run for this module alone. A line counts by what the lake
knows it by: host, file (inode and birth), byte offset and bytes. A line that comes twice under one
identity was sent again and is one line.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import Settings
from qimo_assets.source.files import log_files
from qimo_assets.source.links import LINK_NAME, keep, link_paths, log_paths, read_configuration
from qimo_assets.source.render import RECORD_OVERHEAD_BYTES, write_agent_configuration
from qimo_assets.stack import control, install
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import common_environment, flume_configuration, services
from qimo_assets_tests.conftest import environment, free_ports, own_layout, wait_for

pytestmark = pytest.mark.usefixtures("software")

# A topic for lines of 2 MiB, so that a line over its maximum takes a second and not a minute.
MAX_MESSAGE_BYTES = 2_097_152
# TAILDIR's idle time-out unless set otherwise, and the pause between its looks.
IDLE_SECONDS, IDLE_LOOK_SECONDS = 120, 5
WAIT_SECONDS = 240


@dataclass(frozen=True)
class Line:
    """What a line is known by, and its bytes."""

    host: str
    name: str
    source_id: str
    offset: int
    body: bytes


def read_event(value: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers and body of Flume's AvroFlumeEvent: a map of strings, and bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        result = shift = 0
        while True:
            byte = value[at]
            at += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)

    def piece() -> bytes:
        nonlocal at
        length = number()
        at += length
        return value[at - length : at]

    headers: dict[str, str] = {}
    while count := number():
        for _ in range(count):
            name, text = piece(), piece()
            headers[name.decode()] = text.decode()
    return headers, piece()


@dataclass
class Topic:
    """The records of a topic, read once each."""

    settings: Settings
    values: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        kafka = self.settings.kafka
        self.consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": "test",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 2 * MAX_MESSAGE_BYTES,
                "log_level": 0,
            }
        )
        self.partitions = [
            TopicPartition(kafka.topic, number, 0) for number in range(kafka.partitions)
        ]
        self.consumer.assign(self.partitions)

    def read(self) -> list[bytes]:
        """Return every record up to now."""
        ends = wait_for(self._ends)
        while any(
            (place.offset if place.offset >= 0 else 0) < ends[place.partition]
            for place in self.consumer.position(self.partitions)
        ):
            for message in self.consumer.consume(10_000, timeout=1):
                value = message.value()
                if message.error() is None and isinstance(value, bytes):
                    self.values.append(value)
        return self.values

    def _ends(self) -> dict[int, int] | None:
        try:
            return {
                part.partition: self.consumer.get_watermark_offsets(part, timeout=10)[1]
                for part in self.partitions
            }
        except KafkaException:
            return (
                None  # a broker that was killed does not know its partitions in its first moments
            )


@dataclass
class Collection:
    """A running agent, its log directory and its topic."""

    layout: Layout
    settings: Settings
    topic: Topic
    lines: dict[str, Counter[Line]] = field(default_factory=dict)
    decoded: int = 0

    def path(self, name: str) -> Path:
        """Return the path of a log file."""
        return self.layout.chat / name

    def pid(self, service: str) -> int:
        """Return the process of a service, once it runs."""
        return wait_for(
            lambda: next(
                item.pid for item in control.components(self.layout) if item.name == service
            )
        )

    def kill(self, service: str) -> None:
        """Kill -9 a service; the supervisor starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    @contextmanager
    def agent_stopped(self) -> Generator[None, None, None]:
        """Do something while no agent runs; what was written before has been linked, as it is
        within a second.
        """
        # A file that left the pattern keeps its link only until it is read.
        pattern = read_configuration(flume_configuration(self.layout)).pattern
        wait_for(
            lambda: (
                {inode for _, inode in log_paths(self.layout.chat, pattern)} <= set(self.links())
            )
        )
        control.stop(self.layout, print, only={"flume"})
        yield
        control.start(self.layout, print, only={"flume"})

    def links(self) -> dict[int, Path]:
        """Return inode -> link."""
        found = link_paths(self.settings.source.link_dir)
        return {inode: path for (_, inode), path in found.items()}

    def source_id(self, path: Path) -> str:
        """Return what the lake knows a log file by, once it has a link."""
        link = wait_for(lambda: self.links().get(path.stat().st_ino))
        return link.name.rpartition("~")[2]

    def arrivals(self, name: str) -> Counter[Line]:
        """Return how often each line of the files with this first name has come."""
        # Each record is decoded once: what is sent again makes hundreds of thousands of them.
        for value in self.topic.read()[self.decoded :]:
            self.decoded += 1
            headers, body = read_event(value)
            link = LINK_NAME.fullmatch(Path(headers["file"]).name)
            assert link is not None, headers
            assert headers["directory"] == str(self.layout.chat)
            line = Line(headers["host"], link[1], link[2], int(headers["byteoffset"]), body)
            self.lines.setdefault(line.name, Counter())[line] += 1
        return Counter(self.lines.get(name))

    def expect(self, name: str, *contents: bytes) -> Counter[Line]:
        """Wait until exactly the lines of these files, one content each, have come under this first
        name, each file under an id of its own.
        """
        expected = sorted(sorted(lines_of(content)) for content in contents)
        found: Counter[Line] = Counter()

        def complete() -> bool:
            nonlocal found
            found = self.arrivals(name)
            return len(found) >= sum(map(len, expected))

        wait_for(complete, WAIT_SECONDS)
        by_file: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        for line in found:
            by_file.setdefault((line.host, line.source_id), []).append((line.offset, line.body))
        assert sorted(map(sorted, by_file.values())) == expected
        return found


def lines_of(content: bytes) -> list[tuple[int, bytes]]:
    """Return offset and bytes of each terminated line."""
    found, offset = [], 0
    for line in content.split(b"\n")[:-1]:
        found.append((offset, line.removesuffix(b"\r")))
        offset += len(line) + 1
    return found


def some_lines(count: int, label: str = "line", start: int = 0) -> bytes:
    return b"".join(f"{label} {number}\n".encode() for number in range(start, start + count))


@pytest.fixture(scope="module")
def collection(software: None) -> Iterator[Collection]:
    """Keeper, broker and agent with empty data."""
    with own_layout(free_ports()) as layout:
        install.format_data(layout, {"kafka"})
        given = {
            "QIMO_CONFIG": str(layout.home / "qimo.toml"),
            "QIMO_KAFKA__MAX_MESSAGE_BYTES": str(MAX_MESSAGE_BYTES),
        }
        with environment(given):
            settings = Settings()  # pyright: ignore[reportCallIssue]  # the values come from the file
        write_agent_configuration(settings, flume_configuration(layout))
        make_topic: Callable[[], Any] = KafkaResource.from_settings(settings.kafka).ensure_topic
        control.start(
            layout, print, only={"links", "kafka", "flume"}, once_ready={"kafka": make_topic}
        )
        yield Collection(layout, settings, Topic(settings))


@contextmanager
def another_agent(
    collection: Collection, name: str, **source: Any
) -> Generator[Settings, None, None]:
    """Run a second agent on the same log directory, with links and positions of its own."""
    home = collection.layout.home / name
    source = {"link_dir": home / "links", "position_file": home / "positions.json", **source}
    kafka = collection.settings.kafka.model_copy(
        update={"topic": name} if "agent" in source else {}
    )
    settings = collection.settings.model_copy(
        update={"source": collection.settings.source.model_copy(update=source), "kafka": kafka}
    )
    configuration = home / "agent.properties"
    write_agent_configuration(settings, configuration)
    KafkaResource.from_settings(kafka).ensure_topic()
    keep(read_configuration(configuration))
    command = next(
        service.command for service in services(collection.layout) if service.name == "flume"
    )
    agent = subprocess.Popen(
        [*command[:-1], configuration],
        env=common_environment(collection.layout),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield settings
    finally:
        agent.kill()
        agent.wait()


# --- the position file


@pytest.mark.parametrize("damage", ["torn", "empty", "zeros", "missing"])
def test_a_damaged_position_file_sends_again_and_loses_nothing(
    collection: Collection, damage: str
) -> None:
    name, before, after = f"positions-{damage}.log", some_lines(1_500), some_lines(500, start=1_500)
    path, positions = collection.path(name), collection.settings.source.position_file
    path.write_bytes(before)
    collection.expect(name, before)
    with collection.agent_stopped():
        text = positions.read_bytes()
        if damage == "missing":
            positions.unlink()
        else:
            # Cut within its first entry: what stands before a tear is believed.
            positions.write_bytes(
                {"torn": text[: text.index(b"pos") + 6], "empty": b"", "zeros": bytes(len(text))}[
                    damage
                ]
            )
        with path.open("ab") as file:
            file.write(after)
    found = collection.expect(name, before + after)
    assert {times for line, times in found.items() if line.offset < len(before)} == {2}


# --- killed while lines flow


@pytest.mark.parametrize(("service", "kills"), [("kafka", 1), ("flume", 2), ("links", 2)])
def test_a_kill_under_load_loses_nothing_and_repeats_no_identity(
    collection: Collection, service: str, kills: int
) -> None:
    name, content = f"kill-{service}.log", some_lines(20_000, "equal lines are lines of their own")
    block = len(content) // 100 + 1

    def append() -> None:
        with collection.path(name).open("ab", buffering=0) as file:
            for at in range(0, len(content), block):
                file.write(content[at : at + block])
                time.sleep(0.1)

    writer = threading.Thread(target=append)
    writer.start()
    for _ in range(kills):
        time.sleep(3)
        collection.kill(service)
    writer.join()
    found = collection.expect(name, content)
    print(f"{service}: {found.total() - len(found)} of {len(found)} lines sent again")


def test_equal_lines_are_lines_of_their_own(collection: Collection) -> None:
    content = b"the same line\n" * 3_000
    collection.path("equal.log").write_bytes(content)
    collection.expect("equal.log", content)


# --- rotation


@pytest.mark.parametrize(
    "name",
    [
        "$(touch x).log",
        "`id`; rm -rf ..log",
        "..log",
        "-rf.log",
        "a|b <img src=x onerror=alert(1)>.log",
        "${env:HOME}.log",
        "聊天 %s {{x}}.log",
        "a~1-2.log",
    ],
)
def test_a_hostile_file_name_is_a_name_and_nothing_else(collection: Collection, name: str) -> None:
    content = some_lines(3, name)
    collection.path(name).write_bytes(content)
    collection.expect(name, content)


@pytest.mark.parametrize(
    "name",
    ["聊天.log".encode("gbk"), b"n" * 251 + b".log", ("聊" * 83).encode() + b".log"],
    ids=["GBK", "255 bytes", "253 bytes of Chinese"],
)
def test_a_name_that_java_cannot_read_or_a_link_cannot_hold_is_read(
    collection: Collection, name: bytes
) -> None:
    content = some_lines(3, "of an odd name")
    path = Path(os.fsdecode(os.fsencode(collection.layout.chat) + b"/" + name))
    path.write_bytes(content)
    link = wait_for(lambda: collection.links().get(path.stat().st_ino))
    shown = LINK_NAME.fullmatch(link.name)
    assert shown
    collection.expect(shown[1], content)


def test_rename_inside_the_pattern(collection: Collection) -> None:
    path = collection.path("inside.log")
    path.write_bytes(some_lines(1_000))
    old_id = collection.source_id(path)
    with path.open("ab", buffering=0) as writer:
        path.rename(collection.path("inside.1.log"))
        path.write_bytes(some_lines(700))
        # A server writes to the old file until it opens the new one.
        writer.write(some_lines(5, start=1_000))
    found = collection.expect("inside.log", some_lines(1_005), some_lines(700))
    assert {line.source_id for line in found} == {old_id, collection.source_id(path)}
    assert set(found.values()) == {1}
    assert collection.arrivals("inside.1.log") == Counter()


@pytest.mark.parametrize("way", ["renamed out of the pattern", "moved away", "deleted"])
def test_what_was_not_read_of_a_rotated_file_arrives(
    collection: Collection, way: str, tmp_path: Path
) -> None:
    name = f"{way.replace(' ', '-')}.log"
    path, content = collection.path(name), some_lines(2_000)
    path.write_bytes(content[:5_000])
    wait_for(lambda: len(collection.arrivals(name)) == content[:5_000].count(b"\n"))
    with collection.agent_stopped():
        with path.open("ab") as file:
            file.write(content[5_000:])
        if way == "deleted":
            path.unlink()
        else:
            shutil.move(path, path.with_suffix(".log.1") if "renamed" in way else tmp_path / name)
        [gone] = [file for file in log_files(collection.settings.source) if file.name == name]
        assert (gone.gone, gone.unread > 0) == (True, True)
    collection.expect(name, content)


def test_a_file_written_anew_under_its_name_is_another_file(collection: Collection) -> None:
    path = collection.path("anew.log")
    path.write_bytes(some_lines(100))
    collection.expect("anew.log", some_lines(100))
    inode, first_id = path.stat().st_ino, collection.source_id(path)
    path.unlink()
    # The same bytes at the same offsets, and more of them than the agent had read.
    path.write_bytes(some_lines(300))
    assert path.stat().st_ino != inode, "the link must keep the inode from being used again"
    assert collection.source_id(path) != first_id
    collection.expect("anew.log", some_lines(100), some_lines(300))


def test_a_used_inode_is_another_file_once_the_link_is_gone(collection: Collection) -> None:
    path = collection.path("used.log")
    path.write_bytes(some_lines(100))
    collection.expect("used.log", some_lines(100))
    inode, first_id = path.stat().st_ino, collection.source_id(path)
    configuration = flume_configuration(collection.layout)
    wait_for(
        lambda: (
            not sum(
                file.unread
                for file in log_files(collection.settings.source)
                if file.name == "used.log"
            )
        )
    )
    path.unlink()
    wait_for(
        lambda: (
            keep(read_configuration(configuration), quiet_seconds=-1) == []
            and inode not in collection.links()
        )
    )
    with collection.agent_stopped():
        # Whether the file system gives the number again is its own affair: ext4 does at once.
        path.write_bytes(some_lines(300))
    assert collection.source_id(path) != first_id
    collection.expect("used.log", some_lines(100), some_lines(300))


def test_copy_and_truncate_loses_what_the_agent_had_not_read(collection: Collection) -> None:
    """The operation that stays unsafe: docs/chat-servers.md says what to do in its place."""
    name, old, new = "truncated.log", some_lines(1_000, "old"), some_lines(1_500, "new line")
    path = collection.path(name)
    path.write_bytes(old)
    collection.expect(name, old)
    # While the agent sees the file shorter than it had read, nothing is lost: it begins again at 0.
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(some_lines(10, "short"))
    wait_for(lambda: len(collection.arrivals(name)) == 1_010)
    with collection.agent_stopped():
        with path.open("ab") as file:
            file.write(some_lines(100, "not read"))
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(new)
    position = len(some_lines(10, "short"))
    after = [(offset, body) for offset, body in lines_of(new) if offset >= position]
    wait_for(lambda: {(line.offset, line.body) for line in collection.arrivals(name)} >= set(after))
    found = {line.body for line in collection.arrivals(name)}
    # Lost: what was unread at the truncation, and of the new lines those before the old position,
    # the one across it but for its end.
    assert not [body for body in found if body.startswith(b"not read")]
    lost = [body for offset, body in lines_of(new) if offset < position]
    assert len(lost) > 5
    assert not set(lost) & found
    assert b"new line %d" % len(lost) in found


# --- what a line may look like


def test_line_ends_and_bytes_arrive_as_they_are(collection: Collection) -> None:
    content = (
        b"\xef\xbb\xbfafter a byte order mark\r\nplain\n\r\n\nlone \r return\r\r\n\xff\xfe "
        b"no UTF-8 \xe6\xb6\nNUL \0 and \x01 and \x85\n" + b"c" * 8_191 + b"\r\n"
    )
    collection.path("bytes.log").write_bytes(content)
    found = collection.expect("bytes.log", content)
    bodies = [line.body for line in sorted(found, key=lambda line: line.offset)]
    assert bodies[:5] == [
        b"\xef\xbb\xbfafter a byte order mark",
        b"plain",
        b"",
        b"",
        b"lone \r return\r",
    ]


def test_a_line_over_the_topics_maximum_is_cut_and_holds_up_nothing(collection: Collection) -> None:
    longest = MAX_MESSAGE_BYTES - RECORD_OVERHEAD_BYTES
    assert longest > collection.settings.lake.max_line_bytes
    # Random bytes, which no compression makes fit; no line ends among them.
    noise = os.urandom(MAX_MESSAGE_BYTES + 500_000).replace(b"\n", b"\0").replace(b"\r", b"\0")
    collection.path("long.log").write_bytes(
        b"before\n" + noise + b"\nafter\n" + noise[:longest] + b"\nend\n"
    )
    collection.path("other.log").write_bytes(some_lines(100))
    collection.expect("other.log", some_lines(100))
    wait_for(lambda: len(collection.arrivals("long.log")) == 5, WAIT_SECONDS)
    bodies = [
        line.body for line in sorted(collection.arrivals("long.log"), key=lambda line: line.offset)
    ]
    assert bodies == [b"before", noise[:longest], b"after", noise[:longest], b"end"]
    other = some_lines(100, start=100)
    with collection.path("other.log").open("ab") as file:
        file.write(other)
    collection.expect("other.log", some_lines(200))


# --- several agents


def test_two_hosts_with_the_same_path_have_lines_of_their_own(collection: Collection) -> None:
    content = some_lines(50)
    collection.path("hosts.log").write_bytes(content)
    collection.expect("hosts.log", content)
    with another_agent(collection, "second", host="second-host"):
        found = collection.expect("hosts.log", content, content)
    assert {line.host for line in found} == {collection.settings.source.host, "second-host"}


def test_the_courses_agent_reads_the_links_too(collection: Collection) -> None:
    collection.path("course.log").write_bytes(
        some_lines(100, "course")
        + b"x" * (MAX_MESSAGE_BYTES + 10)
        + b"\n"
        + some_lines(1, "after the long one")
    )
    with another_agent(collection, "course", agent="7mo_mem_kafka") as settings:
        topic = Topic(settings)
        wait_for(lambda: b"after the long one 0" in topic.read(), WAIT_SECONDS)
        values = topic.read()
    assert [
        body for _, body in lines_of(some_lines(100, "course")) if values.count(body) != 1
    ] == []
    assert max(map(len, values)) == MAX_MESSAGE_BYTES - RECORD_OVERHEAD_BYTES


# --- time


def test_a_changed_time_of_its_file_has_the_agent_let_removed_files_go(
    collection: Collection,
) -> None:
    path, content = collection.path("reload.log"), some_lines(3_000)
    path.write_bytes(content[:10_000])
    gone = collection.path("removed.log")
    gone.write_bytes(some_lines(10))
    collection.expect("removed.log", some_lines(10))
    configuration = flume_configuration(collection.layout)
    wait_for(
        lambda: (
            not sum(
                file.unread
                for file in log_files(collection.settings.source)
                if file.name == "removed.log"
            )
        )
    )
    gone.unlink()
    wait_for(
        lambda: (
            keep(read_configuration(configuration), quiet_seconds=-1) == []
            and not [p for p in collection.links().values() if "removed" in p.name]
        )
    )
    pid = collection.pid("flume")

    def held() -> list[str]:
        found: list[str] = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            # It may be closed since the directory was read.
            with suppress(FileNotFoundError):
                found.append(str(link.readlink()))
        return [file for file in found if "removed.log" in file]

    assert held()
    os.utime(configuration)
    with path.open("ab") as file:
        file.write(content[10_000:])
    wait_for(lambda: not held())
    collection.expect("reload.log", content)
    assert collection.pid("flume") == pid


def test_an_unterminated_last_line_waits_for_its_end(collection: Collection) -> None:
    path = collection.path("unterminated.log")
    path.write_bytes(b"whole\nthe first half")
    collection.expect("unterminated.log", b"whole\n")
    # With TAILDIR's own idle time-out the half would be sent by then.
    time.sleep(IDLE_SECONDS + 2 * IDLE_LOOK_SECONDS)
    assert len(collection.arrivals("unterminated.log")) == 1
    with path.open("ab") as file:
        file.write(b" and the second\r\n")
    collection.expect("unterminated.log", b"whole\nthe first half and the second\r\n")
