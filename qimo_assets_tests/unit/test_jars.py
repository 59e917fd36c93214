"""The lock of the jars, and what happens to a jar that is not what was locked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qimo_assets.stack import jars
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import Layout


def test_the_lock_names_each_jar_of_each_group_once() -> None:
    locked = jars.read_lock()
    assert {jar.group for jar in locked} == {"kafka", "hdfs", "flume", "spark", "mariadb", "ip2region"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked)
    assert len({(jar.group, jar.coordinates) for jar in locked}) == len(locked)


def test_a_jar_that_differs_from_the_lock_stops_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text(f"spark org.example:thing:1.0 {'0' * 64}\n")
    monkeypatch.setattr(jars, "LOCK_FILE", lock)
    monkeypatch.setattr(jars, "read_lock", lambda path=lock, read=jars.read_lock: read(path))

    def deliver(_layout: Layout, _wanted: object, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        (target / "org.example--thing--1.0.jar").write_bytes(b"something else")

    monkeypatch.setattr(jars, "_run_ivy", deliver)
    layout = Layout(tmp_path / "home", {})
    layout.make_directories()
    with pytest.raises(StackError, match="org.example:thing:1.0"):
        jars.install_jars(layout)
    assert not list((layout.install / "jars" / "spark").glob("*.jar"))
