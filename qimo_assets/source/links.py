"""Keeps a hard link to every log file, for the agent to tail in place of the log directory itself.

TAILDIR knows a file by its path and inode: it reads a renamed file again from the start, forgets
one that leaves the pattern with what it had not read, and takes a new file for the old one when it
got the old one's inode. A link never changes its name, keeps what it points to alive, and keeps its
inode from being used again. It is removed when the log file is gone, read to its end and no process
writes to it any more. A file that the agent could not open gets none, for one such file would keep
it from reading all others.

Needs nothing but a python3 of 3.8 or later, so that it runs beside the agent on any chat server:
`python3 links.py agent.properties`. What it has to know stands in the agent's own configuration,
which it reads again at each look.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

PAUSE_SECONDS = 0.5
# A server may open a rotated file once more, by a name that it has kept.
QUIET_SECONDS = 300
# Where the file system cannot tell whether a file is open, as on a network's: two nights' pause.
QUIET_UNTOLD_SECONDS = 172_800
# The agent loads a configuration whose time has changed, and then closes the removed files that it
# still holds open. It must also come before the idle time-out of 24.8 days, the longest there is,
# which would send an unterminated last line in two halves.
RELOAD_SECONDS = 86_400
# The agent holds removed files open until it loads its configuration anew.
MAX_REMOVED = 100
# What the agent opens beside the log files: its jars and its connections.
RESERVED_FILES = 256
MAX_NAME_BYTES = 255
LINK_NAME = re.compile(r"(.+)~((\d+)-\d+)", re.DOTALL)
_PROPERTY = re.compile(r"\w+\.sources\.\w+\.(\S+?)\s*=\s*(.*?)\s*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_READ_BYTES = 65_536
# statx(2): the arguments, and where the mask and the time of birth stand in the 256 bytes of its
# answer.
_AT_FDCWD, _STATX_BTIME, _STATX_BYTES, _BTIME_AT = -100, 0x800, 256, 80
_LIBC = ctypes.CDLL(None, use_errno=True)


class Source(NamedTuple):
    """What the agent's configuration says of its source."""

    log_dir: Path
    pattern: re.Pattern[str]
    link_dir: Path
    position_file: Path


class LinksError(Exception):
    """No link can be made as things stand; the message says what to do."""


def read_configuration(path: Path) -> Source:
    """Return what a rendered file of `flume_conf/` says of its source.

    Raises:
        LinksError: A property is missing.
    """
    found = [_PROPERTY.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    values = {match[1]: _unescaped(match[2]) for match in found if match}
    try:
        log_dir, pattern = Path(values["links.logDir"]), re.compile(values["links.filePattern"])
        return Source(
            log_dir, pattern, Path(values["filegroups.f1"]).parent, Path(values["positionFile"])
        )
    except KeyError as error:
        raise LinksError(
            f"{path} has no property {error.args[0]} of a source; take a rendered "
            "configuration of flume_conf/."
        ) from None


def _unescaped(value: str) -> str:
    """Return a value of a Java properties file as Flume reads it."""
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], value)
    return text.encode("utf-16", "surrogatepass").decode("utf-16").replace("$${", "${")


def log_paths(log_dir: Path, pattern: re.Pattern[str]) -> dict[tuple[int, int], Path]:
    """Return (device, inode) -> path of the log files; a file with two names in the directory is
    one file.
    """
    found = {}
    for path in sorted(log_dir.iterdir()):
        if pattern.fullmatch(path.name) and path.is_file():
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # renamed or deleted since it was listed
            found[state.st_dev, state.st_ino] = path
    return found


def link_paths(link_dir: Path) -> dict[tuple[int, int], Path]:
    """Return (device, inode) -> path of the links that there are."""
    if not link_dir.is_dir():
        return {}
    device = link_dir.stat().st_dev
    paths = [(LINK_NAME.fullmatch(path.name), path) for path in link_dir.iterdir()]
    return {(device, int(link[3])): path for link, path in paths if link}


def read_positions(position_file: Path) -> dict[str, int]:
    """Return a link's name -> bytes read of it, out of TAILDIR's position file; nothing when it is
    not there or is just being rewritten.

    By the name, which has the file's birth: an inode alone may be another file's by now.
    """
    try:
        return {
            Path(entry["file"]).name: entry["pos"]
            for entry in json.loads(position_file.read_text(encoding="utf-8"))
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def link_name(name: str, inode: int, born: int) -> str:
    """Return the name of a link to a log file: the file's own, but for what Java cannot read in a
    name, or what does not fit into one.
    """
    end = f"~{inode}-{born}"
    shown = "".join(
        character if character.isprintable() else _escaped(character) for character in name
    )
    room = MAX_NAME_BYTES - len(end)
    if len(shown.encode()) > room:
        shown = shown.encode()[: room - 3].decode(errors="ignore") + "\u2026"
    return shown + end


def _escaped(character: str) -> str:
    # A byte that is not UTF-8 stands in a name of Python's as a lone surrogate.
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def most_files() -> int | None:
    """Return how many log files an agent with this process's limits can hold open; None for any
    number.
    """
    # Java raises its own limit to the hard one.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else max(hard - RESERVED_FILES, 1)


def keep(
    source: Source,
    quiet_seconds: float = QUIET_SECONDS,
    most: int | None = None,
    removed: Callable[[Path], object] = lambda link: None,
) -> list[str]:
    """Make the links that are missing and remove those that are done with.

    Args:
        source: The directories.
        quiet_seconds: How long a file that is gone must not have been written to.
        most: How many links there may be; None for any number.
        removed: Gets each link that was removed.

    Returns:
        What could not be done, one sentence a file.

    Raises:
        LinksError: No link can be made at all.
    """
    source.link_dir.mkdir(parents=True, exist_ok=True)
    try:
        paths = log_paths(source.log_dir, source.pattern)
    except FileNotFoundError:
        raise LinksError(
            f"There is no directory {source.log_dir}. Make it, or set QIMO_SOURCE__LOG_DIR."
        ) from None
    if source.log_dir.stat().st_dev != source.link_dir.stat().st_dev:
        raise LinksError(_on_two_file_systems(source))
    links = link_paths(source.link_dir)
    gone = {key: link for key, link in links.items() if key not in paths}
    _remove_done(source, gone.values(), quiet_seconds, removed)
    missing = [path for key, path in paths.items() if key not in links]
    complaints = _link_all(source, missing, most)
    # The time of the directory tells that somebody is looking.
    os.utime(source.link_dir)
    return complaints


def _link_all(source: Source, missing: list[Path], most: int | None) -> list[str]:
    if not missing:
        return []
    count = len(link_paths(source.link_dir))
    complaints, refused = [], 0
    # The newest first: where not all can be read, what is written now is.
    for path in sorted(missing, key=_last_written, reverse=True):
        if most is not None and count >= most:
            complaints.append(
                f"{path} gets no link and is not read: the agent can hold {most} files open. Raise "
                "the limit of open files (ulimit -Hn, LimitNOFILE), or move old files away."
            )
            continue
        try:
            count += _link(source, path)
        except FileNotFoundError:
            continue  # renamed or deleted since it was listed
        except OSError as error:
            refused += error.errno == errno.EXDEV
            complaints.append(_refusal(source, path, error))
    if refused == len(missing) and not count:
        raise LinksError(_on_two_file_systems(source))
    return complaints


def _last_written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _link(source: Source, path: Path) -> bool:
    """Link one log file; return whether it had none.

    Raises:
        OSError: It cannot be linked, or not be read.
    """
    fresh = source.link_dir / ".new"
    if fresh.exists():
        fresh.unlink()
    if not os.access(path, os.R_OK):
        path.stat()
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    # The name comes after the link: only what the link holds cannot become another file meanwhile.
    os.link(path.resolve(), fresh)
    state = fresh.stat()
    if (state.st_dev, state.st_ino) in link_paths(source.link_dir):
        return False
    fresh.rename(source.link_dir / link_name(path.name, state.st_ino, birth(fresh)))
    return True


def _refusal(source: Source, path: Path, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return (
            f"{path} gets no link and is not read: it lies on another file system than "
            f"{source.link_dir}. Have it written into {source.log_dir} itself, or run another "
            "agent for where it lies."
        )
    return (
        f"{path} gets no link and is not read: {error.strerror}. Run this and the agent as the "
        "user that writes the log files."
    )


def birth(path: Path) -> int:
    """Return when the file was made, in nanoseconds: with its inode it names the file for ever, as
    an inode alone does not.

    On a file system that does not keep it, the present time: the link then is the only one to know
    which file it is.
    """
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    if _LIBC.statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, answer) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    (mask,) = struct.unpack_from("=I", answer, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", answer, _BTIME_AT)
    return seconds * 1_000_000_000 + nanoseconds if mask & _STATX_BTIME else time.time_ns()


def _remove_done(
    source: Source,
    gone: Iterable[Path],
    quiet_seconds: float,
    removed: Callable[[Path], object],
) -> None:
    links = list(gone)
    positions = read_positions(source.position_file) if links else {}
    for link in links:
        quiet = time.time() - link.stat().st_mtime
        if quiet <= quiet_seconds or link.name not in positions:
            continue
        if has_line_after(link, positions[link.name]):
            continue
        is_written = _is_open_for_writing(link)
        if is_written is None:
            is_written = quiet <= QUIET_UNTOLD_SECONDS
        if not is_written:
            link.unlink()
            removed(link)


def _is_open_for_writing(path: Path) -> bool | None:
    """Return whether any process has a file open for writing; None where that cannot be told.

    A lease for reading is given only where nobody has: whoever it is, also in another container.
    """
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        except OSError:
            return None
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def has_line_after(path: Path, position: int) -> bool:
    """Return whether a line ends behind a position of a file."""
    with path.open("rb") as file:
        file.seek(position)
        return any(b"\n" in piece for piece in iter(lambda: file.read(_READ_BYTES), b""))


def _on_two_file_systems(source: Source) -> str:
    return (
        f"{source.log_dir} and {source.link_dir} are on two file systems, which no hard "
        "link can cross: "
        f"set QIMO_SOURCE__LINK_DIR to a directory on the file system of {source.log_dir}."
    )


def main() -> None:
    """Look at the log directory twice a second until stopped."""
    if len(sys.argv) != 2:
        sys.exit("usage: links.py AGENT_CONFIGURATION")
    configuration = Path(sys.argv[1])
    told: list[str] = []
    removed: list[Path] = []
    while True:
        try:
            complaints = keep(
                read_configuration(configuration), most=most_files(), removed=removed.append
            )
        except (LinksError, FileNotFoundError) as error:
            sys.exit(str(error))
        for complaint in complaints:
            if complaint not in told:
                print(_printable(complaint), file=sys.stderr, flush=True)
        told = complaints
        is_old = time.time() - configuration.stat().st_mtime > RELOAD_SECONDS
        if is_old or len(removed) >= MAX_REMOVED:
            os.utime(configuration)
            removed.clear()
        time.sleep(PAUSE_SECONDS)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


if __name__ == "__main__":
    main()
