"""The image's entry point as processes, with the variables and the files that deploy/kubernetes
gives its containers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse
from dagster._serdes import deserialize_value

from qimo_assets import probes
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT
from qimo_assets.stack.certificates import Authority
from qimo_assets_tests.conftest import (
    free_ports,
    own_environment,
    short_directory,
    wait_for,
)
from qimo_assets_tests.manifests import container

ENTRY_POINT = [sys.executable, "-m", "qimo_assets.container"]
REPORT_PASSWORD = "of the report"  # pragma: allowlist secret  # made up for a test


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """The content of the Secret's files; the passwords are of systems that nobody asks here."""
    authority = Authority(tmp_path / "authority")
    passwords = dict.fromkeys(
        ("kafka.password", "publisher.password", "reader.password", "dagster.url"), "made up"
    )
    return {
        **passwords,
        "report.password": REPORT_PASSWORD,
        "report.pem": authority.issue("report").read_text(),
        "ca.pem": authority.ca.read_text(),
    }


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for Unix sockets."""
    with short_directory() as directory:
        yield directory


def environment(given: Mapping[str, str]) -> dict[str, str]:
    return {**own_environment(), "PYTHONPATH": str(PROJECT_ROOT), **given}


@contextmanager
def running(
    arguments: list[str], env: Mapping[str, str], directory: Path
) -> Generator[None, None, None]:
    process = subprocess.Popen([*ENTRY_POINT, *arguments], env=env, cwd=directory)
    try:
        yield
    finally:
        process.terminate()
        # The code server waits for its worker, which took more than 30 s on a busy machine.
        process.wait(120)


def test_the_report_answers(secrets: dict[str, str], tmp_path: Path, short_path: Path) -> None:
    report, port = container("report"), str(free_ports()["report"])
    env = environment({**report.lay_out(short_path, secrets), "QIMO_REPORT__PORT": port})
    own_file = tmp_path / "authority" / "report.pem"
    with running(report.spec["args"], env, short_path):
        wait_for(lambda: answers(f"https://{LOOPBACK}:{port}/", own_file), 60)


def answers(url: str, own_file: Path) -> bool:
    try:
        probes.report_page(url, 10, probes.basic_authorization("report", REPORT_PASSWORD), own_file)
    except OSError:
        return False
    return True


def test_the_code_server_loads_the_definitions_and_is_well(
    secrets: dict[str, str], short_path: Path
) -> None:
    code, port = container("code"), str(free_ports()["dagster_code"])
    env = environment(code.lay_out(short_path, secrets))
    # Where no storage is named it is SQLite's.
    (Path(env["DAGSTER_HOME"]) / "dagster.yaml").touch()
    probe = [sys.executable, "-m", *code.spec["livenessProbe"]["exec"]["command"], "-p", port]
    with running([*code.spec["args"], "-p", port], env, short_path):
        wait_for(
            lambda: subprocess.run(probe, env=env, capture_output=True, timeout=60).returncode == 0,
            120,
        )
        # An error of the definitions is healthy as well, and would be another kind of answer.
        found = deserialize_value(
            DagsterGrpcClient(host=LOOPBACK, port=int(port)).list_repositories(),
            ListRepositoriesResponse,
        )
    assert [symbol.attribute for symbol in found.repository_symbols] == ["defs"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (
            ["nobody"],
            2,
            "There is no role nobody; there are code, webserver, daemon, report, agent, "
            "links, qimo, setup.",
        ),
        (["setup", "now"], 2, "setup takes no arguments."),
        (["setup"], 1, "kafka.bootstrap: Field required"),
        (["qimo", "agent"], 2, "Missing argument 'FILE'."),
        (["links"], 1, "usage: links.py AGENT_CONFIGURATION"),
    ],
)
def test_wrong_use_is_told(short_path: Path, arguments: list[str], status: int, says: str) -> None:
    done = subprocess.run(
        [*ENTRY_POINT, *arguments],
        env=environment({"QIMO_HOME": str(short_path)}),
        cwd=short_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, says in done.stderr) == (status, True), done.stderr
