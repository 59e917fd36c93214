"""What a running stack shows to strangers: nothing listens but on the loopback, and no file or
command line that others can see holds a password.
"""

from __future__ import annotations

import ipaddress
import stat

import psutil
import pytest

from qimo_assets.stack.health import mysql_connection
from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.processes import command_line, processes_of


def listeners(stack: Stack) -> set[tuple[str, str, int]]:
    """Return process, address and port of everything that a process of the stack listens on."""
    found: set[tuple[str, str, int]] = set()
    for process in processes_of(stack):
        try:
            connections = process.net_connections("inet")
            found |= {
                (process.name(), item.laddr.ip, item.laddr.port)
                for item in connections
                if item.status == psutil.CONN_LISTEN or not item.raddr
            }
        except psutil.NoSuchProcess:
            continue  # it has ended since
    return found


def is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def test_everything_listens_on_the_loopback_alone(stack: Stack) -> None:
    found = listeners(stack)
    # Beside the named ports there are those of Spark's drivers and of Python's workers.
    assert {port for _, _, port in found} >= set(stack.layout().ports.values())
    assert [item for item in sorted(found) if not is_loopback(item[1])] == []


def test_no_password_is_on_a_command_line(stack: Stack) -> None:
    passwords = secrets(stack)
    lines = [command_line(process) for process in processes_of(stack)]
    assert any(lines)
    assert [line[:80] for line in lines if any(password in line for password in passwords)] == []


def test_a_file_with_a_password_is_its_owners_alone(stack: Stack) -> None:
    passwords = secrets(stack)
    readable = [
        path
        for path in stack.home.rglob("*")
        if path.is_file() and not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    shown = [path for path in readable if "data" not in path.relative_to(stack.home).parts[:1]]
    assert shown
    assert [
        path
        for path in shown
        if any(password.encode() in path.read_bytes() for password in passwords)
    ] == []


def test_no_log_holds_a_password(stack: Stack) -> None:
    passwords = secrets(stack)
    logs = [path for path in stack.layout().log.rglob("*") if path.is_file()]
    assert logs
    assert [
        path
        for path in logs
        if any(password.encode() in path.read_bytes() for password in passwords)
    ] == []


def test_dagster_tells_no_password(stack: Stack) -> None:
    locations = (
        "{ workspaceOrError { ... on Workspace { locationEntries { displayMetadata { value } } "
        "} } }"
    )
    told = str(stack.graphql("{ instance { info } }")) + str(stack.graphql(locations))
    assert "LocalRunLauncher" in told
    assert [password for password in secrets(stack) if password in told] == []


@pytest.mark.parametrize(("table", "column"), [("runs", "run_body"), ("event_logs", "event")])
def test_no_run_and_no_event_holds_a_password(stack: Stack, table: str, column: str) -> None:
    passwords = secrets(stack)
    holds = " OR ".join([f"{column} LIKE %s"] * len(passwords))
    with mysql_connection(stack.layout(), "dagster") as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), coalesce(sum({holds}), 0) FROM dagster.{table}",
            [f"%{password}%" for password in passwords],
        )
        ((rows, found),) = cursor.fetchall()
    assert rows > 0
    assert found == 0


def secrets(stack: Stack) -> list[str]:
    """Return the generated passwords."""
    found = [
        path.read_text()
        for path in (stack.home / "secrets").iterdir()
        if path.is_file() and path.name != "accounts.sql"
    ]
    # Beside the four of MariaDB those of a cluster's Kafka and Spark.
    assert len(found) == (6 if stack.layout().profile.secured else 4)
    return found
