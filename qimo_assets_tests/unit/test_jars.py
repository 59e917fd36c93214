"""The lock of the jars: that it is whole, and that nothing else than what it names is ever
installed.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from qimo_assets.stack import download
from qimo_assets.stack.download import MEGABYTE, OF_TESTS, Jar, read_lock
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.jars import (
    LOCK_FILE,
    ROOTS,
    class_path,
    directory,
    install_jars,
    locked,
    version_of,
    wanted,
)
from qimo_assets.stack.layout import current_layout, project_file

LOCK = locked()
JAR = Jar("group", "org.example:part:1.0", "0" * 64, 5)


def test_the_lock_has_a_jar_of_every_group_and_no_other_group() -> None:
    assert {jar.group for jar in LOCK} == set(ROOTS)


@pytest.mark.parametrize(
    ("group", "root"), [(group, root) for group, roots in ROOTS.items() for root, _ in roots]
)
def test_each_root_is_locked_in_its_group(group: str, root: str) -> None:
    assert root in {jar.coordinates for jar in LOCK if jar.group == group}


@pytest.mark.parametrize(
    "group", [group for group, roots in ROOTS.items() if not any(follow for _, follow in roots)]
)
def test_a_group_that_follows_nothing_is_its_roots(group: str) -> None:
    assert {jar.coordinates for jar in LOCK if jar.group == group} == {
        root for root, _ in ROOTS[group]
    }


def test_each_line_is_complete() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in LOCK)
    assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", jar.coordinates) for jar in LOCK)
    assert all(jar.size > 0 for jar in LOCK)
    assert sorted(LOCK) == LOCK


def test_a_class_path_has_each_artifact_once() -> None:
    artifacts = Counter((jar.group, jar.coordinates.rpartition(":")[0]) for jar in LOCK)
    assert [artifact for artifact, number in artifacts.items() if number > 1] == []


def test_the_same_jar_has_the_same_checksum_and_size_in_every_group() -> None:
    assert len({(jar.coordinates, jar.sha256, jar.size) for jar in LOCK}) == len(
        {jar.coordinates for jar in LOCK}
    )


def test_paths_of_jars_are_distinct_and_under_the_home(home: Path) -> None:
    layout = current_layout()
    paths = [path for group in ROOTS for path in class_path(layout, group)]
    assert len(set(paths)) == len(LOCK)
    assert all(path.is_relative_to(home / "install" / "jars") for path in paths)


def test_the_jars_of_yarn_are_for_its_profile_alone_and_those_of_tests_for_nobody(
    home: Path,
) -> None:
    of_users = set(ROOTS) - set(OF_TESTS)
    assert {jar.group for jar in wanted(current_layout())} == of_users - {"yarn"}
    assert wanted(current_layout("yarn")) == [jar for jar in LOCK if jar.group in of_users]


def test_what_is_fetched_before_there_is_an_environment_is_what_an_installation_has(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Jar] = []
    monkeypatch.setattr(download, "download", lambda jars, _directory: fetched.extend(jars))
    download.main([str(LOCK_FILE), str(home)])
    assert fetched == wanted(current_layout())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("README.md", "{} jars ({} MB)"),
        ("README.zh-CN.md", "{} 个 jar（{} MB）"),
        ("docs/running.md", "{} files, {} MB"),
        ("docs/handbook.zh-CN.md", "{} 个文件，{} MB"),
    ],
)
def test_the_documents_tell_how_much_is_fetched(home: Path, document: str, words: str) -> None:
    sizes = {jar.sha256: jar.size for jar in wanted(current_layout())}
    told = words.format(len(sizes), round(sum(sizes.values()) / MEGABYTE))
    assert told in project_file(document).read_text()


def test_the_version_of_an_artifact_is_the_locked_one() -> None:
    assert f"org.apache.kafka:kafka_2.13:{version_of('kafka_2.13')}" == ROOTS["kafka"][0][0]


def test_a_lock_with_comments_and_empty_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jars.lock"
    path.write_text(
        f"# group coordinates sha256 bytes\n\n{JAR.group} {JAR.coordinates} {JAR.sha256} 5\n"
    )
    assert read_lock(path) == [JAR]


@pytest.mark.parametrize(
    "line",
    [
        "group org.example:part:1.0",
        "group org.example:part:1.0 0",
        "group org.example:part:1.0 0 much",
        "group org.example:part:1.0 0 0 0",
        "group",
    ],
)
def test_a_broken_line_of_the_lock_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "jars.lock"
    path.write_text(f"# comment\n{line}\n")
    with pytest.raises(
        StackError, match="jars.lock, line 2: expected 'group coordinates sha256 bytes'"
    ):
        read_lock(path)


def test_an_installation_that_is_whole_fetches_nothing(home: Path) -> None:
    layout = current_layout()
    for item in LOCK:
        path = item.path(directory(layout))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert install_jars(layout) == 0
    assert {path.name for path in layout.install.iterdir()} == {"jars"}
