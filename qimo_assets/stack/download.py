"""Fetches the locked jars: several at once, each checked, and those that are there are kept.

Python's standard library alone: `./qimo` runs this with the machine's own python3 while the
environment with everything else is still being made.

    python3 -m qimo_assets.stack.download LOCK DIRECTORY
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TextIO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPSHandler, Request, build_opener
from xml.etree import ElementTree  # nosec B405  # the user's own settings

from qimo_assets.stack.errors import StackError

# What Maven and Ivy ask where the machine is set to nothing else.
CENTRAL = "https://repo1.maven.org/maven2/"
# The group that only the profile of that name runs.
YARN = "yarn"
# What only the project's own tests read the reports with.
OF_TESTS = (
    "connectorj_5",
    "connectorj_8",
    "connectorj_26",
    "mariadb_client_3",
    "mariadb_client",
)
# Of these connections so many take the largest jar that is left, which fill the line; the others
# the smallest, of which each is mostly a wait for an answer.
CONNECTIONS, FOR_LARGE = 8, 2
# A connection that gives nothing for so long is given up; what it brought is kept.
STALLED_SECONDS = 60
# Tries in a row that bring nothing; the pause between them doubles each time.
TRIES, FIRST_PAUSE_SECONDS = 5, 1.0
BLOCK = 1 << 18
MEGABYTE = 1_000_000
# A terminal is drawn anew so often, anything else gets a line so often.
DRAW_SECONDS, LINE_SECONDS = 0.25, 5.0
POLL_SECONDS = 0.05
BAR_WIDTH = 24


@dataclass(frozen=True, order=True)
class Jar:
    """One locked jar.

    Attributes:
        group: The class path that it belongs to.
        coordinates: Maven's `organisation:name:version`.
        sha256: The checksum of the file, in hex.
        size: Bytes of the file.
    """

    group: str
    coordinates: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """The jar's name on disk, from which its coordinates can be read."""
        return "--".join(self.coordinates.split(":")) + ".jar"

    def path(self, directory: Path) -> Path:
        """Return where the jar stands below the directory of all jars."""
        return directory / self.group / self.file_name


def read_lock(path: Path) -> list[Jar]:
    """Read `jars.lock`: lines of `group coordinates sha256 bytes`, `#` begins a comment."""
    jars = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            parts = line.split()
            if len(parts) != 4 or not parts[3].isdecimal():
                raise StackError(
                    f"{path.name}, line {number}: expected 'group coordinates sha256 bytes'."
                )
            group, coordinates, checksum, size = parts
            jars.append(Jar(group, coordinates, checksum, int(size)))
    return jars


@dataclass(frozen=True)
class Repository:
    """A Maven repository; `credentials` is the value of an Authorization header."""

    url: str
    credentials: str | None = field(default=None, repr=False)

    def request(self, jar: Jar, offset: int) -> Request:
        """Return the request for a jar from a byte on."""
        organisation, name, version = jar.coordinates.split(":")
        path = f"{organisation.replace('.', '/')}/{name}/{version}/{name}-{version}.jar"
        request = Request(self.url + path, headers={"Range": f"bytes={offset}-"} if offset else {})
        if self.credentials:
            # Not to the host of a redirection, which may be another.
            request.add_unredirected_header("Authorization", self.credentials)
        return request


def repository() -> Repository:
    """Return the repository that the machine is set to: the resolver of the file that
    `QIMO_IVY_SETTINGS` names, the mirror of Maven Central in `~/.m2/settings.xml`, or Maven
    Central.

    Raises:
        StackError: One of these files cannot be used.
    """
    named = os.environ.get("QIMO_IVY_SETTINGS")
    if named:
        return _of_ivy(Path(named))
    settings = Path.home() / ".m2" / "settings.xml"
    return (_of_maven(settings) if settings.exists() else None) or Repository(CENTRAL)


def _of_ivy(path: Path) -> Repository:
    root = _xml(path)
    properties = {item.get("name", ""): item.get("value", "") for item in root.iter("property")}
    # The default resolver goes first; it may be a chain, of which the first one is taken.
    settings = root.find("settings")
    wanted = settings.get("defaultResolver") if settings is not None else None
    found = sorted(root.iter("ibiblio"), key=lambda item: item.get("name") != wanted)
    if not found:
        raise StackError(f"{path} has no <ibiblio> resolver; name your mirror in one, by its root.")
    url = _filled(path, found[0].get("root") or CENTRAL, properties)
    host = urlsplit(url).hostname
    account = next((item for item in root.iter("credentials") if item.get("host") == host), None)
    if account is None:
        return _repository(path, url)
    names = (account.get("username", ""), account.get("passwd", ""))
    return _repository(path, url, *(_filled(path, text, properties) for text in names))


def _of_maven(path: Path) -> Repository | None:
    root = _xml(path)
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        if not _mirrors_central(_text(mirror, "mirrorOf")):
            continue
        url = _filled(path, _text(mirror, "url"), {})
        for server in root.iterfind("{*}servers/{*}server"):
            if _text(server, "id") == _text(mirror, "id"):
                names = (_text(server, "username"), _text(server, "password"))
                return _repository(path, url, *(_filled(path, text, {}) for text in names))
        return _repository(path, url)
    return None


def _mirrors_central(mirror_of: str) -> bool:
    of = {part.strip() for part in mirror_of.split(",")}
    return bool(of & {"*", "external:*", "central"}) and "!central" not in of


def _repository(path: Path, url: str, user: str = "", password: str = "") -> Repository:  # nosec B107  # none
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StackError(f"{path}: {parts.scheme or 'nothing'} is no http(s) address of a mirror.")
    if parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Repository(urlunsplit(plain) + "/", f"Basic {encoded}" if user else None)


def _xml(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()  # nosec B314  # the user's own settings
    except (OSError, ElementTree.ParseError) as error:
        raise StackError(f"{path} cannot be read: {error}.") from None


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(f"{{*}}{name}") or "").strip()


def _filled(path: Path, text: str, properties: dict[str, str]) -> str:
    """Return a text with its `${name}` and `${env.NAME}` filled in."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = properties.get(name, os.environ.get(name.removeprefix("env.")))
        if found is None:
            raise StackError(f"{path}: there is no value of ${{{name}}}.")
        return found

    return re.sub(r"\$\{([^}]+)\}", value, text)


class Progress:
    """How far the download has come: a bar on a terminal, else a line each few seconds."""

    def __init__(self, jars: Iterable[Jar], output: TextIO) -> None:
        self.sizes = {jar.sha256: jar.size for jar in jars}
        self.received = dict.fromkeys(self.sizes, 0)
        self.done: set[str] = set()
        self._kept = 0
        self._output = output
        self._drawn = self._began = time.monotonic()

    def begin(self, kept: int) -> None:
        """Begin to measure; so many bytes were there before."""
        self._kept = kept
        self._drawn = self._began = time.monotonic()

    def line(self) -> str:
        """Return files, MB, rate and time left as text."""
        total, received = sum(self.sizes.values()), sum(self.received.values())
        rate = (received - self._kept) / max(time.monotonic() - self._began, 0.001)
        left = f"{(total - received) / rate:.0f} s left" if rate > 0 else "waiting"
        return (
            f"jars: {len(self.done)} of {len(self.sizes)} files, {received / MEGABYTE:.0f} of "
            f"{total / MEGABYTE:.0f} MB, {rate / MEGABYTE:.1f} MB/s, {left}"
        )

    def draw(self, *, last: bool = False) -> None:
        """Show it, when it is time to."""
        terminal = self._output.isatty()
        now = time.monotonic()
        if not last and now - self._drawn < (DRAW_SECONDS if terminal else LINE_SECONDS):
            return
        self._drawn = now
        if terminal:
            share = sum(self.received.values()) / max(sum(self.sizes.values()), 1)
            bar = "#" * round(BAR_WIDTH * share)
            text = f"[{bar:<{BAR_WIDTH}}] {self.line()}"
            columns = shutil.get_terminal_size().columns - 1
            self._output.write(f"\r{text[:columns]:<{columns}}" + ("\n" if last else ""))
        else:
            self._output.write(self.line() + "\n")
        self._output.flush()


def download(
    jars: Sequence[Jar],
    directory: Path,
    *,
    source: Repository | None = None,
    output: TextIO | None = None,
    pause: float = FIRST_PAUSE_SECONDS,
) -> int:
    """Fetch the jars that are missing below a directory, verify each, and return how many were
    missing. A jar of several groups is fetched once. Who comes second waits for the first.

    Args:
        jars: The jars that are to be there.
        directory: The directory of all jars; a file that is there was verified before.
        source: Where to fetch them; None takes what the machine is set to.
        output: Where the progress is shown; None takes the standard error.
        pause: Seconds between a try that failed and the next one; it doubles each time.

    Raises:
        StackError: The repository does not answer or does not have a jar, or a file is not the one
            that was locked. What has arrived is kept for the next time.
    """
    if all(jar.path(directory).exists() for jar in jars):
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    with alone(directory):
        missing = [jar for jar in jars if not jar.path(directory).exists()]
        parts = directory.with_name(directory.name + ".part")
        parts.mkdir(exist_ok=True)
        wanted = {jar.sha256: jar for jar in missing}
        _Download(
            list(wanted.values()), parts, source or repository(), output or sys.stderr, pause
        ).run()
        for jar in missing:
            adopt(jar, parts / jar.sha256, jar.path(directory))
        shutil.rmtree(parts)
    return len(missing)


def adopt(jar: Jar, fetched: Path, target: Path) -> None:
    """Give a verified file its place, beside the one that it may have in another group."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(fetched)
    except OSError:
        staging = target.with_suffix(".part")
        shutil.copyfile(fetched, staging)
        staging.replace(target)


def verify(jar: Jar, fetched: Path) -> None:
    """Hold that a file is the one that was locked; another one is removed.

    Raises:
        StackError: It is not.
    """
    found = sha256(fetched)
    if found != jar.sha256:
        fetched.unlink()
        raise StackError(
            f"{jar.coordinates} is not the file that jars.lock names: expected SHA-256 "
            f"{jar.sha256}, got {found}.\n"
            "Nothing was installed from it. Check the registry or mirror that this machine uses."
        )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Download:
    """Workers that take one jar after the other, from both ends of a queue."""

    def __init__(
        self, jars: Sequence[Jar], parts: Path, source: Repository, output: TextIO, pause: float
    ) -> None:
        self._parts, self._source, self._pause = parts, source, pause
        self._progress = Progress(jars, output)
        self._queue = deque(sorted(jars, key=lambda jar: jar.size))
        # One for all: each would read the certificates of the authorities anew.
        self._opener = build_opener(HTTPSHandler(context=ssl.create_default_context()))
        self._ended = threading.Event()
        self._errors: list[Exception] = []
        self._workers = [
            threading.Thread(
                target=self._work,
                args=[self._queue.pop if number < FOR_LARGE else self._queue.popleft],
                daemon=True,
            )
            for number in range(CONNECTIONS)
        ]

    def run(self) -> None:
        """Fetch all; raise the first error."""
        kept = [self._parts / name for name in self._progress.sizes]
        self._progress.begin(sum(path.stat().st_size for path in kept if path.exists()))
        try:
            for worker in self._workers:
                worker.start()
            while any(worker.is_alive() for worker in self._workers) and not self._errors:
                self._progress.draw()
                time.sleep(POLL_SECONDS)
        finally:
            self._ended.set()
        self._progress.draw(last=True)
        if self._errors:
            raise self._errors[0]

    def _work(self, take: Callable[[], Jar]) -> None:
        try:
            while not self._ended.is_set():
                try:
                    jar = take()
                except IndexError:
                    return
                self._fetch(jar)
                self._progress.done.add(jar.sha256)
        except Exception as error:  # noqa: BLE001  # raised by `run`, in the thread that asked
            self._errors.append(error)

    def _fetch(self, jar: Jar) -> None:
        part = self._parts / jar.sha256
        fruitless = 0
        while (before := part.stat().st_size if part.exists() else 0) < jar.size:
            reason = self._receive(jar, part, before)
            if self._ended.is_set():
                return
            after = part.stat().st_size if part.exists() else 0
            if after >= jar.size:
                break
            fruitless = 0 if after > before else fruitless + 1
            if fruitless == TRIES:
                raise StackError(
                    f"The registry did not give {jar.coordinates}: {reason} "
                    f"({self._source.url}). Check the network, then run the command again; what "
                    "has arrived is kept."
                )
            self._ended.wait(self._pause * 2 ** max(fruitless - 1, 0))
        self._progress.received[jar.sha256] = jar.size
        verify(jar, part)

    def _receive(self, jar: Jar, part: Path, offset: int) -> str:
        """Append what the repository gives of a jar from a byte on; return why it ended."""
        try:
            request = self._source.request(jar, offset)
            with (
                self._opener.open(request, timeout=STALLED_SECONDS) as answer,
                # One that does not know ranges gives the whole file.
                part.open("ab" if answer.status == 206 else "wb") as file,
            ):
                while (block := answer.read(BLOCK)) and not self._ended.is_set():
                    file.write(block)
                    self._progress.received[jar.sha256] = file.tell()
                    # Not for ever, whatever it sends: the checksum refuses what is longer.
                    if file.tell() > jar.size:
                        break
            return "the connection ended early"
        except HTTPError as error:
            if error.code < 500 and error.code not in (408, 425, 429):
                raise StackError(
                    f"The registry did not give {jar.coordinates}: {error.code} {error.reason} "
                    f"({self._source.url}). Check the registry or mirror that this machine uses, "
                    "then run the command again."
                ) from None
            return f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            return str(getattr(error, "reason", error)) or type(error).__name__


@contextmanager
def alone(directory: Path) -> Generator[None, None, None]:
    """Hold a directory against others who fill it; the lock ends with its process, however that
    ends.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def to_install(jars: Iterable[Jar], *, yarn: bool = False) -> list[Jar]:
    """Return the jars that an installation has: YARN's 80 MB are for the profile that runs it."""
    left_out = {*OF_TESTS, *(() if yarn else (YARN,))}
    return [jar for jar in jars if jar.group not in left_out]


def main(arguments: Sequence[str]) -> None:
    """Fetch what every profile has."""
    lock, directory = map(Path, arguments)
    try:
        download(to_install(read_lock(lock)), directory)
    except StackError as error:
        sys.exit(f"qimo: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
