"""Keeps a hard link to every log file, for the agent to tail in place of the log directory itself.

TAILDIR knows a file by its path and inode: it reads a renamed file again from the start, forgets
one that leaves the pattern with what it had not read, and takes a new file for the old one when it
got the old one's inode. A link never changes its name, keeps what it points to alive, and keeps its
inode from being used again. It is removed when the log file is gone, read to its end and quiet.

Needs nothing but a python3 of 3.8 or later, so that it runs beside the agent on any chat server:
`python3 links.py agent.properties`. What it has to know stands in the agent's own configuration,
which it reads again at each look.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

PAUSE_SECONDS = 0.5
# A writer that still has a rotated file open goes on writing to it for a while.
QUIET_SECONDS = 300
# The agent loads a configuration whose time has changed, and then closes the removed files that it
# still holds open. It must also come before the idle time-out of 24.8 days, the longest there is,
# which would send an unterminated last line in two halves.
RELOAD_SECONDS = 86_400
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


def log_paths(log_dir: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Return inode -> path of the log files; a file with two names in the directory is one file."""
    found = {}
    for path in sorted(log_dir.iterdir()):
        if pattern.fullmatch(path.name) and path.is_file():
            try:
                found[path.stat().st_ino] = path
            except FileNotFoundError:
                continue  # renamed or deleted since it was listed
    return found


def link_paths(link_dir: Path) -> dict[int, Path]:
    """Return inode -> path of the links that there are."""
    paths = (
        [(LINK_NAME.fullmatch(path.name), path) for path in link_dir.iterdir()]
        if link_dir.is_dir()
        else []
    )
    return {int(link[3]): path for link, path in paths if link}


def read_positions(position_file: Path) -> dict[int, int]:
    """Return inode -> bytes read out of TAILDIR's position file; nothing when it is not there or is
    just being rewritten.
    """
    try:
        return {
            entry["inode"]: entry["pos"]
            for entry in json.loads(position_file.read_text(encoding="utf-8"))
        }
    except (OSError, ValueError):
        return {}


def keep(source: Source, quiet_seconds: float = QUIET_SECONDS) -> list[str]:
    """Make the links that are missing and remove those that are done with.

    Args:
        source: The directories.
        quiet_seconds: How long a file that is gone must not have been written to.

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
    complaints = [_link(source, path) for inode, path in paths.items() if inode not in links]
    _remove_done(
        source, {inode: link for inode, link in links.items() if inode not in paths}, quiet_seconds
    )
    # The time of the directory tells that somebody is looking.
    os.utime(source.link_dir)
    return [complaint for complaint in complaints if complaint]


def _link(source: Source, path: Path) -> str | None:
    """Link one log file; return what is in the way."""
    fresh = source.link_dir / ".new"
    try:
        if fresh.exists():
            fresh.unlink()
        # The name comes after the link: only what the link holds cannot become another file
        # meanwhile.
        os.link(path.resolve(), fresh)
        inode = fresh.stat().st_ino
        if inode not in link_paths(source.link_dir):
            fresh.rename(source.link_dir / f"{path.name}~{inode}-{birth(fresh)}")
    except FileNotFoundError:
        return None  # renamed or deleted since it was listed
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise LinksError(_on_two_file_systems(source)) from None
        return (
            f"{path} gets no link and is not read: {error.strerror}. Run this and the agent as "
            "the user that writes the log files."
        )
    return None


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


def _remove_done(source: Source, gone: dict[int, Path], quiet_seconds: float) -> None:
    positions = read_positions(source.position_file) if gone else {}
    for inode, link in gone.items():
        is_quiet = time.time() - link.stat().st_mtime > quiet_seconds
        if is_quiet and inode in positions and not _has_line_after(link, positions[inode]):
            link.unlink()


def _has_line_after(link: Path, position: int) -> bool:
    with link.open("rb") as file:
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
    while True:
        try:
            complaints = keep(read_configuration(configuration))
        except (LinksError, FileNotFoundError) as error:
            sys.exit(str(error))
        for complaint in complaints:
            if complaint not in told:
                print(complaint, file=sys.stderr, flush=True)
        told = complaints
        if time.time() - configuration.stat().st_mtime > RELOAD_SECONDS:
            os.utime(configuration)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
