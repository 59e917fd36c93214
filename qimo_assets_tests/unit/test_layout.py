"""Ports, paths and passwords of the embedded stack: what the environment may ask for, and what is
refused.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import DEFAULT_PORT_OFFSET, MAX_SOCKET_PATH, Layout, current_layout
from qimo_assets.stack.profiles import PROFILES, USUAL_PORTS
from qimo_assets_tests.conftest import short_directory

pytestmark = pytest.mark.usefixtures("home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def deep_home(length: int, letter: str = "a") -> str:
    """Return an absolute path of so many characters, in components that every file system takes."""
    path = f"/{letter * 8}" * (length // 9)
    return path + "/" + letter * (length - len(path) - 1)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(None, 9092 + DEFAULT_PORT_OFFSET), ("0", 9092), ("21000", 30092), ("-2000", 7092)],
    ids=["default", "none", "given", "negative"],
)
def test_the_offset_moves_every_port(
    monkeypatch: pytest.MonkeyPatch, offset: str | None, expected: int
) -> None:
    if offset is not None:
        monkeypatch.setenv("QIMO_PORT_OFFSET", offset)
    ports = current_layout().ports
    assert ports["kafka"] == expected
    assert {name: port - expected + 9092 for name, port in ports.items()} == USUAL_PORTS


@pytest.mark.parametrize("name", USUAL_PORTS)
def test_each_port_has_its_variable_which_wins_over_the_offset(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("QIMO_PORT_OFFSET", "1000")
    monkeypatch.setenv(f"QIMO_PORT_{name.upper()}", "5")
    assert current_layout().ports == {
        other: usual + 1000 for other, usual in USUAL_PORTS.items()
    } | {name: 5}


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QIMO_PORT_KAFKA", "")
    assert current_layout().ports["kafka"] == 9092 + DEFAULT_PORT_OFFSET


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("QIMO_PORT_KAFKA", "kafka", "QIMO_PORT_KAFKA must be a number, not 'kafka'"),
        ("QIMO_PORT_KAFKA", "9092.0", "QIMO_PORT_KAFKA must be a number"),
        ("QIMO_PORT_KAFKA", "0", "Port 0 of kafka is out of range; set QIMO_PORT_KAFKA"),
        ("QIMO_PORT_KAFKA", "65536", "Port 65536 of kafka is out of range; set QIMO_PORT_KAFKA"),
        ("QIMO_PORT_KAFKA", "-1", "set QIMO_PORT_KAFKA"),
        (
            "QIMO_PORT_MYSQL",
            "29092",
            "Port 29092 is asked for twice, the second time for mysql; set QIMO_PORT_MYSQL",
        ),
        ("QIMO_PORT_OFFSET", "much", "QIMO_PORT_OFFSET must be a number, not 'much'"),
        (
            "QIMO_PORT_OFFSET",
            "56000",
            "Port 65870 of namenode_http is out of range; set "
            "QIMO_PORT_NAMENODE_HTTP or QIMO_PORT_OFFSET",
        ),
        (
            "QIMO_PORT_OFFSET",
            "-9092",
            "Port 0 of kafka is out of range; set QIMO_PORT_KAFKA or QIMO_PORT_OFFSET",
        ),
    ],
)
def test_a_wrong_port_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(StackError, match=message):
        current_layout()


def test_everything_stands_under_the_home(home: Path) -> None:
    layout = current_layout()
    paths = [
        getattr(layout, name) for name, kind in vars(Layout).items() if isinstance(kind, property)
    ]
    assert len(set(paths)) == len(paths) > 8
    assert all(path.is_relative_to(home) for path in paths)
    assert not home.exists()
    layout.make_directories()
    assert all(
        path.is_dir() for path in paths if path not in (layout.secrets, layout.supervisor_socket)
    )


def test_a_password_is_made_once_for_its_owner_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        first = current_layout().secret("mysql_root")
    finally:
        os.umask(before)
    assert len(first) >= 24
    assert (mode(home / "secrets"), mode(home / "secrets" / "mysql_root")) == (0o700, 0o600)
    assert (
        current_layout().secret("mysql_root")
        == first
        == (home / "secrets" / "mysql_root").read_text()
    )
    assert current_layout().secret("mysql_reader") != first


def test_a_password_needs_no_quoting(home: Path) -> None:
    layout = current_layout()
    letters = set("".join(layout.secret(f"s{number}") for number in range(50)))
    assert all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in letters)


@pytest.mark.parametrize("letter", ["a", "七"])
def test_a_home_too_deep_for_a_socket_is_refused(
    monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    monkeypatch.setenv("QIMO_HOME", deep_home(110 if letter == "a" else 45, letter))
    with pytest.raises(
        StackError, match="too long a path for Unix sockets; set QIMO_HOME to a shorter one"
    ):
        current_layout()


FORK_SERVER = """
from multiprocessing import forkserver
forkserver.ensure_running()
print(forkserver._forkserver._forkserver_address)
"""


def test_the_deepest_home_that_is_taken_is_short_enough_for_every_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest_pid = int(Path("/proc/sys/kernel/pid_max").read_text()) - 1
    with short_directory() as directory:
        address = subprocess.run(
            [sys.executable, "-c", FORK_SERVER],
            env={**os.environ, "TMPDIR": str(directory)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        fork_server = Path(address).relative_to(directory)

    def accepted(length: int) -> bool:
        monkeypatch.setenv("QIMO_HOME", deep_home(length))
        try:
            return bool(current_layout())
        except StackError:
            return False

    deepest = max(length for length in range(20, 120) if accepted(length))
    sockets = (
        "run/mysql.sock",
        "run/mysql.sock.lock",
        f"run/supervisor.sock.{longest_pid}",
        f"run/tmp/{fork_server}",
    )
    assert max(len(f"{deep_home(deepest)}/{name}") for name in sockets) <= MAX_SOCKET_PATH


# --- profiles


def made_with(home: Path, profile: str | None) -> None:
    """Make data with a profile; None makes it as it was made before there were profiles."""
    layout = current_layout(profile)
    layout.make_directories()
    if profile:
        layout.keep_profile()
    else:
        (home / "data" / "kafka").mkdir()


def test_without_data_any_profile_may_be_chosen_and_nothing_is_kept(home: Path) -> None:
    assert [current_layout(name).profile.name for name in (None, *PROFILES, None)] == [
        "single",
        *PROFILES,
        "single",
    ]
    current_layout("cluster").make_directories()
    assert current_layout().profile.name == "single"


@pytest.mark.parametrize(
    ("made", "kept"), [*((name, name) for name in PROFILES), (None, "single")], ids=str
)
def test_data_keeps_the_profile_with_which_it_was_made(
    home: Path, made: str | None, kept: str
) -> None:
    made_with(home, made)
    assert current_layout().profile.name == current_layout(kept).profile.name == kept
    assert set(current_layout().ports) == set(PROFILES[kept].ports)
    for other in set(PROFILES) - {kept}:
        with pytest.raises(
            StackError,
            match=f"was made with the profile {kept}, which it keeps. Run ./qimo up without "
            "--profile, set QIMO_HOME",
        ):
            current_layout(other)


def test_a_profile_that_nobody_knows_is_named(home: Path) -> None:
    made_with(home, "cluster")
    (home / "data" / "profile").write_text("enormous\n")
    with pytest.raises(
        StackError, match="names the profile 'enormous'; there are single, cluster, yarn"
    ):
        current_layout()


def test_each_port_of_a_cluster_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QIMO_PORT_KAFKA_2_CONTROLLER", "5")
    ports = current_layout("cluster").ports
    assert (ports["kafka_2_controller"], ports["kafka_2"]) == (
        5,
        PROFILES["cluster"].ports["kafka_2"] + DEFAULT_PORT_OFFSET,
    )
