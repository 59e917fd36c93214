"""Where the stack keeps its files and on which ports it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from qimo_assets.stack.errors import StackError
from qimo_assets.stack.install import PLACES, configure
from qimo_assets.stack.layout import DEFAULT_PORT_OFFSET, USUAL_PORTS, Layout, current_layout
from qimo_assets.stack.services import services


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The layout of an empty QIMO_HOME with the default ports."""
    monkeypatch.setenv("QIMO_HOME", str(tmp_path))
    for name in ("OFFSET", *(port.upper() for port in USUAL_PORTS)):
        monkeypatch.delenv(f"QIMO_PORT_{name}", raising=False)
    return current_layout()


def test_ports_are_the_usual_ones_plus_the_offset(layout: Layout) -> None:
    assert layout.ports == {name: port + DEFAULT_PORT_OFFSET for name, port in USUAL_PORTS.items()}


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("QIMO_PORT_OFFSET", "many", "QIMO_PORT_OFFSET"),
        ("QIMO_PORT_OFFSET", "60000", "QIMO_PORT_OFFSET"),
        ("QIMO_PORT_KAFKA", "kafka", "QIMO_PORT_KAFKA"),
        ("QIMO_PORT_KAFKA", "0", "QIMO_PORT_KAFKA"),
        ("QIMO_PORT_MYSQL", "29092", "QIMO_PORT_MYSQL"),
    ],
)
def test_a_wrong_port_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StackError, match=named):
        current_layout()


def test_a_home_too_deep_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QIMO_HOME", str(tmp_path / ("d" * 100)))
    with pytest.raises(StackError, match="QIMO_HOME"):
        current_layout()


def test_a_secret_is_made_once_and_only_its_owner_reads_it(layout: Layout) -> None:
    secret = layout.secret("mysql_root")
    assert len(secret) >= 32
    assert current_layout().secret("mysql_root") == secret
    assert layout.secret("mysql_reader") != secret
    assert (layout.secrets / "mysql_root").stat().st_mode & 0o777 == 0o600


def test_each_port_belongs_to_one_service_and_each_need_is_met(layout: Layout) -> None:
    found = services(layout)
    assert sorted(port for service in found for port in service.ports) == sorted(USUAL_PORTS)
    started: set[str] = set()
    while waiting := [service for service in found if service.name not in started]:
        ready = {service.name for service in waiting if set(service.after) <= started}
        assert ready, [service.name for service in waiting]
        started |= ready


def test_passwords_stand_in_private_files_and_on_no_command_line(layout: Layout) -> None:
    configure(layout)
    secrets = {path.read_text() for path in layout.secrets.glob("mysql_*")}
    assert len(secrets) == 4
    for service in services(layout):
        assert not any(secret in part for secret in secrets for part in service.command), service.name
    for place in PLACES.values():
        assert (layout.home / place).stat().st_mode & 0o077 == 0, place


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("etc/kafka.properties", "listeners=PLAINTEXT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"),
        ("etc/my.cnf", "bind-address=127.0.0.1"),
        ("etc/hadoop/hdfs-site.xml", "127.0.0.1:29866"),
    ],
)
def test_the_services_listen_on_the_loopback(layout: Layout, place: str, line: str) -> None:
    configure(layout)
    assert line in (layout.home / place).read_text()
    assert "0.0.0.0" not in (layout.home / place).read_text()
