"""The keeper of the links: which log files get one, under which name, and when it is removed."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from qimo_assets.settings import SettingsError, SourceSettings, load_settings
from qimo_assets.source import links
from qimo_assets.source.assets import shown
from qimo_assets.source.files import LogFile, log_files, what_is_not_read
from qimo_assets.source.links import (
    LINK_NAME,
    LinksError,
    Source,
    birth,
    keep,
    link_paths,
    read_configuration,
)
from qimo_assets.source.render import FLUME_CONF, agent_configuration, write_agent_configuration

OLD = time.time() - 3_600
LATER = time.time() + 3_600


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A log directory without files, and nothing else yet."""
    (tmp_path / "logs").mkdir()
    return Source(
        tmp_path / "logs",
        re.compile(r".*\.log"),
        tmp_path / "flume" / "links",
        tmp_path / "flume" / "positions.json",
    )


def write(source: Source, name: str, content: bytes = b"line\n") -> Path:
    path = source.log_dir / name
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path


def names(source: Source) -> list[str]:
    """Return the first names of the files that have a link."""
    return sorted(LINK_NAME.sub(r"\1", path.name) for path in link_paths(source.link_dir).values())


def read_to(source: Source, **positions: int) -> None:
    """Write the agent's positions, by the first names of the files."""
    entries = [
        {"inode": inode, "pos": positions[path.name.split(".")[0]], "file": str(path)}
        for (_, inode), path in link_paths(source.link_dir).items()
    ]
    source.position_file.write_text(json.dumps(entries))


def read_to_end(source: Source) -> None:
    """Write positions at the end of each file."""
    entries = [
        {"inode": inode, "pos": path.stat().st_size, "file": str(path)}
        for (_, inode), path in link_paths(source.link_dir).items()
    ]
    source.position_file.write_text(json.dumps(entries))


def settings_of(source: Source) -> SourceSettings:
    return SourceSettings(log_dir=source.log_dir, position_file=source.position_file, host="chat")


def test_each_file_of_the_pattern_gets_one_link(source: Source) -> None:
    write(source, "a.log")
    write(source, "b.log.gz")
    (source.log_dir / "c.log").mkdir()
    (source.log_dir / "d.log").hardlink_to(source.log_dir / "a.log")
    assert keep(source) == keep(source) == []
    [(inode, link)] = link_paths(source.link_dir).items()
    state = (source.log_dir / "a.log").stat()
    assert inode == (state.st_dev, state.st_ino)
    assert link.samefile(source.log_dir / "a.log")
    assert [path.name for path in source.link_dir.iterdir()] == [link.name]


def test_a_symbolic_link_stands_for_its_file(source: Source, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"line\n")
    (source.log_dir / "now.log").symlink_to(tmp_path / "elsewhere")
    (source.log_dir / "broken.log").symlink_to(tmp_path / "nothing")
    assert keep(source) == []
    assert names(source) == ["now.log"]
    [link] = link_paths(source.link_dir).values()
    assert not link.is_symlink()
    assert link.read_bytes() == b"line\n"


def test_a_renamed_file_keeps_its_link_and_a_new_one_of_its_name_gets_another(
    source: Source,
) -> None:
    old = write(source, "a.log")
    keep(source)
    before = link_paths(source.link_dir)
    old.rename(source.log_dir / "a.1.log")
    write(source, "a.log")
    keep(source)
    assert link_paths(source.link_dir).items() > before.items()
    assert names(source) == ["a.log", "a.log"]


def test_a_file_is_known_by_its_birth_when_its_link_was_lost(source: Source) -> None:
    path = write(source, "a.log")
    keep(source)
    [link] = link_paths(source.link_dir).values()
    link.unlink()
    path.rename(source.log_dir / "a.1.log")
    write(source, "a.log")
    keep(source)
    [(_, again)] = [
        item
        for item in link_paths(source.link_dir).items()
        if item[1].samefile(source.log_dir / "a.1.log")
    ]
    assert again.name.partition("~")[2] == link.name.partition("~")[2]


def test_births_of_one_inode_differ(source: Source) -> None:
    path = write(source, "a.log")
    first = birth(path)
    assert abs(first / 1e9 - time.time()) < 60
    path.unlink()
    time.sleep(0.05)
    assert birth(write(source, "a.log")) > first


def test_a_file_system_without_births_gives_the_present(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Empty:
        def statx(self, *arguments: object) -> int:
            return 0

    monkeypatch.setattr(links, "_LIBC", Empty())
    before = time.time_ns()
    assert before <= birth(write(source, "a.log")) <= time.time_ns()


def test_a_link_goes_when_its_file_is_gone_read_and_quiet(source: Source) -> None:
    for name in ("here.log", "gone.log", "unread.log", "rest.log", "fresh.log", "unknown.log"):
        write(source, name, b"line\nrest" if name == "rest.log" else b"line\n")
    keep(source)
    read_to(source, here=5, gone=5, unread=0, rest=5, fresh=5, unknown=5)
    entries = [
        entry
        for entry in json.loads(source.position_file.read_text())
        if "unknown" not in entry["file"]
    ]
    source.position_file.write_text(json.dumps(entries))
    os.utime(source.log_dir / "fresh.log")
    for name in ("gone.log", "unread.log", "rest.log", "fresh.log", "unknown.log"):
        (source.log_dir / name).unlink()
    keep(source)
    # An unterminated rest is no line, and nobody can end it any more.
    assert names(source) == ["fresh.log", "here.log", "unknown.log", "unread.log"]


@pytest.mark.parametrize("torn", ["", "[{", "\0\0\0"])
def test_torn_positions_remove_no_link(source: Source, torn: str) -> None:
    write(source, "a.log")
    keep(source)
    (source.log_dir / "a.log").unlink()
    source.position_file.write_text(torn)
    keep(source)
    assert names(source) == ["a.log"]


def test_what_a_killed_keeper_left_is_in_nobodys_way(source: Source) -> None:
    path = write(source, "a.log")
    source.link_dir.mkdir(parents=True)
    (source.link_dir / ".new").hardlink_to(path)
    assert keep(source) == []
    assert names(source) == ["a.log"]
    assert not (source.link_dir / ".new").exists()


def test_two_file_systems_are_one_clear_error(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")
    assert shared.stat().st_dev != tmp_path.stat().st_dev
    with pytest.raises(LinksError, match="two file systems.*QIMO_SOURCE__LINK_DIR"):
        keep(source._replace(log_dir=shared))
    # Two mounts of one device have one number.
    write(source, "a.log")

    def refuse(*paths: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LinksError, match="two file systems"):
        keep(source)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A file on another file system than the log directory."""
    with NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(b"line\n")
        file.flush()
        yield Path(file.name)


def test_a_file_of_another_file_system_is_a_complaint_about_it_alone(
    source: Source, elsewhere: Path
) -> None:
    write(source, "a.log")
    (source.log_dir / "b.log").symlink_to(elsewhere)
    write(source, "c.log")
    [complaint] = keep(source)
    assert f"{source.log_dir / 'b.log'} gets no link and is not read" in complaint
    assert "another file system" in complaint
    assert names(source) == ["a.log", "c.log"]
    [again] = keep(source)
    assert again == complaint


def test_a_file_of_another_file_system_stands_for_no_file_of_this_one(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(source, "a.log")
    (device, inode), elsewhere = (path.stat().st_dev, path.stat().st_ino), Path("/x/b.log")
    paths = {(device + 1, inode): elsewhere, (device, inode): path}
    monkeypatch.setattr(links, "log_paths", lambda *_: paths)
    complaints = keep(source)
    assert names(source) == ["a.log"]
    # It is gone since it was listed.
    assert complaints == []


@pytest.mark.parametrize("file", ["unreadable", "not linkable"])
def test_a_file_that_may_not_be_linked_or_read_is_named_and_the_others_get_theirs(
    source: Source, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write(source, "a.log")
    write(source, "b.log")
    link, access = os.link, os.access

    def refuse_one(path: Path, fresh: Path) -> None:
        if path.name == "a.log" and file == "not linkable":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        link(path, fresh)

    def refuse_access(path: Path, mode: int) -> bool:
        return access(path, mode) and (path.name != "a.log" or file == "not linkable")

    monkeypatch.setattr(os, "link", refuse_one)
    # To root every file is readable.
    monkeypatch.setattr(os, "access", refuse_access)
    [complaint] = keep(source)
    assert str(source.log_dir / "a.log") in complaint
    assert "as the user that writes the log files" in complaint
    assert names(source) == ["b.log"]


# --- names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"chat-1.log", "chat-1.log"),
        ("聊天 é😀.log".encode(), "聊天 é😀.log"),
        ("聊天.log".encode("gbk"), r"\xc1\xc4\xcc\xec.log"),
        (b"a\x1bb.log", r"a\u001bb.log"),
        (b"a\xe2\x80\xa8b.log", r"a\u2028b.log"),
        (b"a\\b.log", "a\\b.log"),
        (b"a" * 251 + b".log", "a" * 210),
        ("聊".encode() * 83 + b".log", "聊" * 70),
    ],
    ids=["plain", "utf-8", "gbk", "escape", "line separator", "backslash", "long", "long utf-8"],
)
def test_each_name_gets_a_link_that_java_can_read(source: Source, name: bytes, shown: str) -> None:
    path = Path(os.fsdecode(os.fsencode(source.log_dir) + b"/" + name))
    path.write_bytes(b"line\n")
    assert keep(source) == keep(source) == []
    [link] = link_paths(source.link_dir).values()
    link.name.encode()
    assert len(os.fsencode(link.name)) <= links.MAX_NAME_BYTES
    assert link.samefile(path)
    if len(name) < 200:
        assert names(source) == [shown]
    else:
        assert names(source)[0].startswith(shown)
        assert names(source)[0].endswith("…")
    read_to_end(source)
    assert [file.unread_because for file in log_files(settings_of(source), LATER)] == [""]


# --- a writer that pauses


def test_a_renamed_file_keeps_its_link_while_a_process_writes_to_it(source: Source) -> None:
    path = write(source, "a.log")
    keep(source)
    with path.open("ab") as writer:
        path.rename(source.log_dir / "a.log.1")
        read_to_end(source)
        keep(source)
        assert names(source) == ["a.log"]
        writer.write(b"another line\n")
    os.utime(source.log_dir / "a.log.1", (OLD, OLD))
    # Closed, and not read yet.
    keep(source)
    assert names(source) == ["a.log"]
    read_to_end(source)
    gone: list[Path] = []
    keep(source, removed=gone.append)
    assert [LINK_NAME.sub(r"\1", link.name) for link in gone] == ["a.log"]
    assert names(source) == []


def test_where_nobody_can_tell_who_writes_a_link_stays_for_two_days(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(links.fcntl, "fcntl", refuse)
    path = write(source, "a.log")
    keep(source)
    read_to_end(source)
    path.unlink()
    keep(source)
    assert names(source) == ["a.log"]
    [link] = link_paths(source.link_dir).values()
    old = time.time() - links.QUIET_UNTOLD_SECONDS - 60
    os.utime(link, (old, old))
    keep(source)
    assert names(source) == []


# --- positions


def test_a_position_of_a_file_that_had_the_inode_before_is_not_this_ones(source: Source) -> None:
    path = write(source, "a.log", b"line\n" * 10)
    keep(source)
    [((_, inode), link)] = link_paths(source.link_dir).items()
    before = link.with_name(f"old.log~{inode}-1")
    source.position_file.write_text(
        json.dumps([{"inode": inode, "pos": 1_000, "file": str(before)}])
    )
    path.unlink()
    keep(source)
    assert names(source) == ["a.log"]
    [file] = log_files(settings_of(source))
    assert (file.read, file.unread, file.gone) == (0, 50, True)


# --- the limit of open files


def test_of_more_files_than_can_be_open_the_newest_are_read_and_the_others_named(
    source: Source,
) -> None:
    for number in range(5):
        path = write(source, f"{number}.log")
        os.utime(path, (OLD + number, OLD + number))
    complaints = keep(source, most=3)
    assert names(source) == ["2.log", "3.log", "4.log"]
    assert [complaint.split()[0] for complaint in complaints] == [
        str(source.log_dir / f"{number}.log") for number in (1, 0)
    ]
    assert all("limit of open files" in complaint for complaint in complaints)
    read_to_end(source)
    (source.log_dir / "3.log").unlink()
    assert len(keep(source, most=3)) == 1
    assert names(source) == ["1.log", "2.log", "4.log"]


def test_the_limit_is_the_hard_one_less_what_the_agent_needs_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {"hard": 1_024}
    monkeypatch.setattr(links.resource, "getrlimit", lambda _: (256, limits["hard"]))
    assert links.most_files() == 1_024 - links.RESERVED_FILES
    limits["hard"] = 100
    assert links.most_files() == 1
    limits["hard"] = links.resource.RLIM_INFINITY
    assert links.most_files() is None


# --- what is not read


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("read", ""),
        ("young", ""),
        ("half a line", ""),
        ("no link", "it has no link"),
        ("another file system", "it lies on another file system"),
        ("never opened", "the agent does not open it: run it with LC_ALL=C.UTF-8"),
        ("no positions", "the agent has not written its positions: it does not run"),
        ("old positions", "the agent has not written its positions for 3600 s"),
        ("behind", "lines of it have waited"),
    ],
)
def test_what_is_not_read_is_told_with_its_reason(
    source: Source, elsewhere: Path, case: str, says: str
) -> None:
    content = b"line\n" + (b"half" if case == "half a line" else b"line\n")
    path = source.log_dir / "a.log"
    if case == "another file system":
        source.link_dir.mkdir(parents=True)
        os.utime(elsewhere, (OLD, OLD))
        path.symlink_to(elsewhere)
    else:
        write(source, "a.log", content)
    if case == "young":
        os.utime(path)
    if case not in ("no link", "another file system"):
        keep(source)
        read_to(source, a=10 if case == "read" else 5)
    if case == "never opened":
        source.position_file.write_text("[]")
    elif case == "no positions":
        source.position_file.unlink()
    elif case == "old positions":
        os.utime(source.position_file, (time.time() - 3_600, time.time() - 3_600))
    files = log_files(settings_of(source), time.time())
    assert [file.unread_because.startswith(says) for file in files] == [True]
    told = what_is_not_read(files)
    assert told.startswith(f"1 of 1 log files are not read: 'a.log': {says}" if says else "")
    assert bool(told) == bool(says)


def test_no_log_directory_is_one_clear_error(source: Source) -> None:
    source.log_dir.rmdir()
    with pytest.raises(LinksError, match="no directory .*logs. Make it"):
        keep(source)


@pytest.mark.parametrize("agent", sorted(path.stem for path in FLUME_CONF.glob("*.properties")))
def test_every_agents_configuration_tells_the_keeper_what_it_needs(
    required: Path, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    monkeypatch.setenv("QIMO_SOURCE__AGENT", agent)
    monkeypatch.setenv("QIMO_SOURCE__FILE_PATTERN", r"chat-\d+\.log")
    monkeypatch.setenv("QIMO_SOURCE__LINK_DIR", "/srv/links")
    path = required.parent / "agent.properties"
    assert write_agent_configuration(load_settings(), path)
    assert read_configuration(path) == Source(
        Path("/none/chat"),
        re.compile(r"chat-\d+\.log"),
        Path("/srv/links"),
        Path("/none/positions.json"),
    )
    path.write_text(path.read_text().replace("positionFile", "other"))
    with pytest.raises(LinksError, match="no property positionFile"):
        read_configuration(path)


def test_a_topic_for_shorter_lines_than_the_lakes_is_refused(
    required: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIMO_KAFKA__MAX_MESSAGE_BYTES", "1114112")
    with pytest.raises(SettingsError, match="kafka.max_message_bytes must be more than"):
        agent_configuration(load_settings(), secrets=True)
    load_settings.cache_clear()
    monkeypatch.setenv("QIMO_KAFKA__MAX_MESSAGE_BYTES", "1114113")
    assert "(?s)(.{1048577}).+" in agent_configuration(load_settings(), secrets=True)


def test_the_program_needs_only_a_bare_python_and_has_the_agent_load_its_file_each_day(
    source: Source, tmp_path: Path
) -> None:
    write(source, "a.log")
    configuration = tmp_path / "agent.properties"
    values = {
        "positionFile": source.position_file,
        "filegroups.f1": source.link_dir / ".*",
        "links.logDir": source.log_dir,
        "links.filePattern": ".*",
    }
    configuration.write_text(
        "".join(f"a1.sources.r1.{name} = {value}\n" for name, value in values.items())
    )
    yesterday = time.time() - 90_000
    os.utime(configuration, (yesterday, yesterday))
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", links.__file__, configuration],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        deadline = time.monotonic() + 30
        while (
            not names(source) or configuration.stat().st_mtime < time.time() - 60
        ) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert names(source) == ["a.log"]
        assert configuration.stat().st_mtime > time.time() - 60
        source.log_dir.rename(tmp_path / "moved")
        assert keeper.wait(timeout=30) == 1
        assert keeper.stderr is not None
        assert "There is no directory" in keeper.stderr.read()
    finally:
        keeper.kill()
        keeper.wait()


def test_what_is_not_read_yet_includes_files_that_are_gone(source: Source, tmp_path: Path) -> None:
    settings = settings_of(source)
    assert settings.link_dir == source.link_dir
    assert log_files(settings) == []
    write(source, "a.log", b"line\n" * 3)
    write(source, "b.log", b"line\n" * 2)
    keep(source)
    read_to(source, a=5, b=10)
    (source.log_dir / "a.log").rename(source.log_dir / "a.log.1")
    write(source, "c.log")
    found = log_files(settings)
    assert found == [
        LogFile("b.log", 10, 10),
        LogFile("c.log", 5, 0, unread_because="it has no link: see what links.py says"),
        LogFile("a.log", 15, 5, gone=True, unread_because="lines of it have waited for over 60 s"),
    ]
    assert [file.unread for file in found] == [0, 5, 10]


def test_a_name_is_shown_as_code_in_one_cell_of_a_table() -> None:
    assert shown("chat-1.log") == "chat-1.log"
    assert shown("聊天 <b>.log") == "聊天 <b>.log"
    assert shown("a`|\n\udc80.log") == r"a\x60\x7c\x0a\xdc80.log"
