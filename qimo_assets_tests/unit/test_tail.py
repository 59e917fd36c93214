"""The feed that goes on beside the demo."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from qimo_assets.simulator import tail
from qimo_assets_tests.conftest import wait_for


def test_a_tail_appends_until_it_is_stopped(tmp_path: Path) -> None:
    chat, record = tmp_path / "chat", tmp_path / "tail.json"
    tail.start(record, tmp_path / "tail.log", chat, lines=1_000_000, rate=200.0)
    try:
        wait_for(lambda: sum(path.stat().st_size for path in chat.glob("*")) > 10_000)
        before = record.read_text()
        tail.start(record, tmp_path / "tail.log", chat, lines=1_000_000, rate=200.0)
        assert record.read_text() == before
    finally:
        assert tail.stop(record)
    assert not tail.stop(record)
    assert all(path.read_bytes().endswith(b"\n") for path in chat.iterdir())


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    record = tmp_path / "tail.json"
    record.write_text(f"[{os.getpid()}, 1.0]")
    assert not tail.stop(record)
    assert psutil.Process().is_running()
    record.write_text("{")
    assert not tail.stop(record)
