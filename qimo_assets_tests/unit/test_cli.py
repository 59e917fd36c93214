"""The command line: wrong use, missing settings, and an empty QIMO_HOME give one clear answer and the right exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty QIMO_HOME."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), "QIMO_HOME": str(tmp_path)}


def qimo(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run([sys.executable, "-m", "qimo_assets.cli", *arguments], env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "arguments",
    [
        ("dance",),
        ("feed",),
        ("feed", "--lines", "many"),
        ("feed", "--lines", "-1"),
        ("feed", "--lines", "1", "--bad", "0.6", "--late", "0.6"),
        ("demo", "--lines", "0"),
    ],
)
def test_wrong_use_is_2(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = qimo(env, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("verify",), ("feed", "--lines", "1"), ("sql", "SELECT 1")])
def test_without_settings_the_answer_names_them_and_what_to_do(env: dict[str, str], command: tuple[str, ...]) -> None:
    done = qimo(env, *command)
    assert done.returncode == 1
    assert "./qimo up" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(env: dict[str, str]) -> None:
    assert "Traceback" in qimo(env, "--debug", "verify").stderr


def test_status_of_nothing_is_stopped(env: dict[str, str]) -> None:
    done = qimo(env, "status", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["state"] == "stopped"
    assert {component["state"] for component in answer["components"]} == {"stopped"}
    assert answer["endpoints"] == {}


def test_down_of_nothing_is_done(env: dict[str, str]) -> None:
    assert qimo(env, "down").returncode == 0


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A copy of the script with a PATH that holds nothing but a shell's own tools and a python3 to be made."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cmp", "mkdir", "rm", "tail", "cp"):
        (tools / name).symlink_to(shutil.which(name) or name)
    shutil.copy(PROJECT_ROOT / "qimo", tmp_path)
    shutil.copy(PROJECT_ROOT / "requirements.lock", tmp_path)
    return tmp_path


def run_script(bare: Path, python3: str) -> subprocess.CompletedProcess[str]:
    """Run the copied script with a python3 that is this shell script."""
    (bare / "bin" / "python3").write_text(f"#!/bin/sh\n{python3}\n")
    (bare / "bin" / "python3").chmod(0o755)
    return subprocess.run(["sh", bare / "qimo", "status"], env={"PATH": str(bare / "bin")}, capture_output=True, text=True, timeout=30)


def test_a_python_of_the_wrong_version_is_named(bare: Path) -> None:
    done = run_script(bare, '[ "$1" = --version ] && echo "Python 3.9.1"; exit 1')
    assert done.returncode == 1
    assert "Python 3.10, 3.11 or 3.12 is needed; found Python 3.9.1" in done.stderr


def test_a_python_without_venv_is_told_what_to_install(bare: Path) -> None:
    done = run_script(bare, 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
