"""The download of the jars: side by side, each checked, resumed, from where the machine is
set to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.download import (
    CENTRAL,
    TRIES,
    Jar,
    Progress,
    Repository,
    download,
    repository,
)
from qimo_assets.stack.errors import StackError

CONTENTS = {f"part{number}": bytes([number]) * 100_000 for number in range(20)}


def jar(name: str, group: str = "group") -> Jar:
    content = CONTENTS[name]
    return Jar(group, f"org.example:{name}:1.0", hashlib.sha256(content).hexdigest(), len(content))


@dataclass
class Registry:
    """A repository on this machine.

    Attributes:
        url: Its address.
        asked: The requests for each file, and the ranges that they named.
        answer: What it gives for a file from a byte on: status, and bytes of a promised length.
    """

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    answer: Callable[[str, int], tuple[int, bytes, int]] = lambda name, offset: (
        206 if offset else 200,
        CONTENTS[name][offset:],
        len(CONTENTS[name]) - offset,
    )


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that has the contents."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("/")[-3]
            assert self.path == f"/mirror/org/example/{name}/1.0/{name}-1.0.jar"
            asked = self.headers["Range"]
            registry.asked[name] += 1
            registry.authorizations.append(self.headers["Authorization"])
            if asked:
                registry.ranges.append(asked)
            offset = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            status, content, promised = registry.answer(name, offset)
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_port}/mirror/"
    yield registry
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(registry: Registry, directory: Path, *jars: Jar) -> str:
    """Download and return what was shown."""
    output = io.StringIO()
    download(jars, directory, source=Repository(registry.url), output=output, pause=0.01)
    return output.getvalue()


def test_every_jar_gets_its_place_and_nothing_else_is_left(
    registry: Registry, tmp_path: Path
) -> None:
    jars = [jar(name) for name in CONTENTS]
    shown = fetch(registry, tmp_path / "jars", *jars)
    assert [item.path(tmp_path / "jars").read_bytes() for item in jars] == [*CONTENTS.values()]
    assert registry.asked == dict.fromkeys(CONTENTS, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["jars"]
    assert "jars: 20 of 20 files, 2 of 2 MB" in shown.splitlines()[-1]


def test_a_jar_of_two_groups_is_fetched_once(registry: Registry, tmp_path: Path) -> None:
    both = jar("part1", "one"), jar("part1", "two")
    fetch(registry, tmp_path, *both)
    assert [item.path(tmp_path).read_bytes() for item in both] == [CONTENTS["part1"]] * 2
    assert registry.asked == {"part1": 1}


def test_what_is_there_is_not_fetched_again(registry: Registry, tmp_path: Path) -> None:
    fetch(registry, tmp_path, jar("part1"))
    fetch(registry, tmp_path, jar("part1"), jar("part2"))
    assert registry.asked == {"part1": 1, "part2": 1}


def test_another_file_stops_with_the_jar_and_what_to_do(registry: Registry, tmp_path: Path) -> None:
    other = CONTENTS["part2"]
    registry.answer = lambda name, offset: (200, other, len(other))
    with pytest.raises(StackError) as raised:
        fetch(registry, tmp_path / "jars", jar("part1"))
    message = str(raised.value)
    assert (
        "org.example:part1:1.0 is not the file that jars.lock names: expected SHA-256 "
        f"{jar('part1').sha256}" in message
    )
    assert hashlib.sha256(other).hexdigest() in message
    assert "Check the registry or mirror" in message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_does_not_end_is_refused(registry: Registry, tmp_path: Path) -> None:
    endless = CONTENTS["part1"] * 100
    registry.answer = lambda name, offset: (200, endless, len(endless))
    with pytest.raises(StackError, match="is not the file that jars.lock names"):
        fetch(registry, tmp_path, jar("part1"))


def test_a_jar_that_is_not_there_stops_at_once_with_what_to_do(
    registry: Registry, tmp_path: Path
) -> None:
    registry.answer = lambda name, offset: (404, b"", 0)
    with pytest.raises(
        StackError, match=r"did not give org.example:part1:1.0: 404 .*run the command again"
    ):
        fetch(registry, tmp_path, jar("part1"))
    assert registry.asked == {"part1": 1}


def test_a_connection_that_breaks_is_resumed_where_it_broke(
    registry: Registry, tmp_path: Path
) -> None:
    def broken(name: str, offset: int) -> tuple[int, bytes, int]:
        rest = CONTENTS[name][offset:]
        return (206 if offset else 200, rest if offset else rest[:40_000], len(rest))

    registry.answer = broken
    fetch(registry, tmp_path, jar("part1"))
    assert jar("part1").path(tmp_path).read_bytes() == CONTENTS["part1"]
    assert registry.ranges == ["bytes=40000-"]


def test_a_registry_without_ranges_gives_the_whole_file_again(
    registry: Registry, tmp_path: Path
) -> None:
    content = CONTENTS["part1"]

    def broken(name: str, offset: int) -> tuple[int, bytes, int]:
        return 200, content if offset else content[:40_000], len(content)

    registry.answer = broken
    fetch(registry, tmp_path, jar("part1"))
    assert jar("part1").path(tmp_path).read_bytes() == content


def test_what_arrived_before_a_break_is_kept_for_the_next_time(
    registry: Registry, tmp_path: Path
) -> None:
    arrived = tmp_path / "jars.part" / jar("part0").sha256

    def answer(name: str, offset: int) -> tuple[int, bytes, int]:
        if name == "part0":
            return 200, CONTENTS[name], 100_000
        while not (arrived.exists() and arrived.stat().st_size == 100_000):
            time.sleep(0.01)
        return 404, b"", 0

    registry.answer = answer
    with pytest.raises(StackError, match="part1"):
        fetch(registry, tmp_path / "jars", *map(jar, ("part0", "part1")))
    registry.answer = Registry().answer
    fetch(registry, tmp_path / "jars", *map(jar, ("part0", "part1")))
    assert registry.asked == {"part0": 1, "part1": 2}
    assert jar("part0").path(tmp_path / "jars").read_bytes() == CONTENTS["part0"]


def test_a_registry_that_is_busy_is_asked_again(registry: Registry, tmp_path: Path) -> None:
    busy = iter([503, 429])

    def answer(name: str, offset: int) -> tuple[int, bytes, int]:
        status = next(busy, 200)
        return status, CONTENTS[name] if status == 200 else b"", 100_000 if status == 200 else 0

    registry.answer = answer
    fetch(registry, tmp_path, jar("part1"))
    assert registry.asked == {"part1": 3}


def test_one_that_gives_nothing_is_given_up(registry: Registry, tmp_path: Path) -> None:
    registry.answer = lambda name, offset: (503, b"", 0)
    with pytest.raises(StackError, match=r"did not give org.example:part1:1.0: 503 .*network"):
        fetch(registry, tmp_path, jar("part1"))
    assert registry.asked == {"part1": TRIES}


def test_two_at_once_fetch_each_jar_once(registry: Registry, tmp_path: Path) -> None:
    jars = [jar(name) for name in CONTENTS]
    threads = [
        threading.Thread(target=fetch, args=(registry, tmp_path / "jars", *jars)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.asked == dict.fromkeys(CONTENTS, 1)
    assert all(item.path(tmp_path / "jars").exists() for item in jars)


def test_the_progress_of_a_terminal_is_one_line_with_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    output = Terminal()
    progress = Progress([jar("part0"), jar("part1")], output)
    progress.begin(0)
    progress.received[jar("part0").sha256] = 100_000
    progress.done.add(jar("part0").sha256)
    progress.draw(last=True)
    assert output.getvalue().startswith("\r[############            ] jars: 1 of 2 files")
    assert output.getvalue().count("\n") == 1


def test_it_needs_nothing_beside_the_standard_library() -> None:
    subprocess.run(
        [sys.executable, "-S", "-c", "import qimo_assets.stack.download"],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"]},
        check=True,
    )


# --- where it fetches


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of a user who has set nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QIMO_IVY_SETTINGS", raising=False)
    return tmp_path


def maven(user: Path, mirror_of: str, url: str) -> None:
    (user / ".m2").mkdir()
    (user / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><servers><server><id>own</id>'
        "<username>${env.MIRROR_USER}</username><password>none of yours</password></server>"
        f"</servers><mirrors><mirror><id>own</id><mirrorOf>{mirror_of}</mirrorOf><url>{url}</url>"
        "</mirror></mirrors></settings>"
    )


def ivy(user: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user / "ivysettings.xml"
    path.write_text(f"<ivysettings>{content}</ivysettings>")
    monkeypatch.setenv("QIMO_IVY_SETTINGS", str(path))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_machine_that_is_set_to_nothing_asks_central(user: Path) -> None:
    assert repository() == Repository(CENTRAL)


@pytest.mark.parametrize("mirror_of", ["central", "*", "external:*", "other, central", "*,!other"])
def test_mavens_mirror_of_central_is_taken_with_its_account(
    user: Path, mirror_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_USER", "me")
    maven(user, mirror_of, "https://mirror.example/maven")
    found = repository()
    assert found == Repository("https://mirror.example/maven/", basic("me", "none of yours"))
    assert "Basic" not in repr(found)


@pytest.mark.parametrize("mirror_of", ["other", "*,!central", "external:http:*"])
def test_a_mirror_of_others_is_passed_over(user: Path, mirror_of: str) -> None:
    maven(user, mirror_of, "https://mirror.example/maven")
    assert repository() == Repository(CENTRAL)


def test_the_resolver_of_ivys_settings_goes_first(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(user, "*", "https://mirror.example/maven")
    ivy(
        user,
        '<settings defaultResolver="own"/><property name="host" value="ivy.example"/>'
        # pragma: allowlist nextline secret
        '<credentials host="ivy.example" username="me" passwd="none of yours"/>'
        '<resolvers><ibiblio name="other" root="https://other.example"/>'
        '<ibiblio name="own" m2compatible="true" root="https://${host}/maven"/></resolvers>',
        monkeypatch,
    )
    assert repository() == Repository("https://ivy.example/maven/", basic("me", "none of yours"))


def test_an_account_in_the_address_is_no_part_of_what_is_shown(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://me:none%20of%20yours@ivy.example/"  # pragma: allowlist secret
    ivy(user, f'<ibiblio root="{address}"/>', monkeypatch)
    assert repository() == Repository("https://ivy.example/", basic("me", "none of yours"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<resolvers/>", "has no <ibiblio> resolver"),
        ('<ibiblio root="file:///srv/maven"/>', "file is no http"),
        ('<ibiblio root="https://${host}/"/>', "no value of .{host}"),
        ("<resolvers>", "cannot be read"),
    ],
)
def test_ivys_settings_that_cannot_be_used_are_named(
    user: Path, content: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ivy(user, content, monkeypatch)
    with pytest.raises(StackError, match=f"ivysettings.xml.*{message}"):
        repository()


def test_the_account_is_sent_to_the_mirror(registry: Registry, tmp_path: Path) -> None:
    download([jar("part1")], tmp_path, source=Repository(registry.url, basic("me", "it")))
    assert registry.authorizations == [basic("me", "it")]
