"""The platform on systems that it does not manage: everything from one settings file, every process
started by hand as docs/deploy.md says.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qimo_assets import probes
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT
from qimo_assets.stack import control, install
from qimo_assets.stack.health import TIMEOUT_SECONDS
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import CODE_SERVER, DEFINITIONS, services
from qimo_assets_tests import jvm
from qimo_assets_tests.conftest import (
    COMMAND_SECONDS,
    SYSTEMS,
    free_ports,
    own_environment,
    own_layout,
    short_directory,
    wait_for,
)

PYTHON = Path(sys.executable)
WORKSPACE = (
    "load_from: [{{grpc_server: {{host: {host}, port: {port}, location_name: qimo_assets}}}}]\n"
)


@pytest.fixture
def company(software: None) -> Iterator[Layout]:
    """The systems alone, in a home of their own, on ports that nobody would guess."""
    with own_layout(free_ports()) as layout, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", jvm.options())
        install.format_data(layout)
        control.start(layout, print, only=SYSTEMS)
        yield layout


@pytest.fixture
def home() -> Iterator[Path]:
    """The directory of the platform: settings, Dagster's home, the log directory."""
    with short_directory() as home:
        yield home


def write_settings(home: Path, company: Layout) -> dict[str, str]:
    """Write what docs/deploy.md asks for, and return the variables that every process gets."""
    (home / "chat").mkdir()
    (home / "dagster").mkdir()
    settings = (
        (company.home / "qimo.toml").read_text().replace(str(company.chat), str(home / "chat"))
    )
    (home / "qimo.toml").write_text(
        settings.replace(str(company.data), str(home)).replace(str(company.run), str(home / "run"))
    )
    (home / "run").mkdir()
    (home / "workspace.yaml").write_text(
        WORKSPACE.format(host=LOOPBACK, port=company.ports["dagster_code"])
    )
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster" / "dagster.yaml")
    return {
        **own_environment(),
        "QIMO_CONFIG": str(home / "qimo.toml"),
        "DAGSTER_HOME": str(home / "dagster"),
        "QIMO_DAGSTER_STORAGE_URL": f"mysql+mysqlconnector://dagster:{company.secret('mysql_dagster')}@{LOOPBACK}:{company.ports['mysql']}/dagster",
        "PYTHONPATH": str(PROJECT_ROOT),
        "TMPDIR": str(home / "run"),
    }


def run(env: Mapping[str, str], *command: str | Path) -> str:
    """Run a command to its good end, and return what it printed."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout


@contextmanager
def running(
    home: Path, env: Mapping[str, str], commands: Mapping[str, tuple[str | Path, ...]]
) -> Generator[None, None, None]:
    """Let processes run, each in a group of its own, whose last members are ended as well."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            with (home / f"{name}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        command, env=env, cwd=home, stdout=log, stderr=log, start_new_session=True
                    )
                )
        yield
    finally:
        for process in reversed(processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_the_platform_runs_on_systems_that_it_does_not_manage(company: Layout, home: Path) -> None:
    env = write_settings(home, company)
    ports, workspace, agent = company.ports, str(home / "workspace.yaml"), home / "agent.properties"
    webserver = f"http://{LOOPBACK}:{ports['dagster']}"
    run(env, PYTHON, "-m", "qimo_assets.instance.storage")
    run(env, PYTHON, "-m", "qimo_assets.cli", "agent", agent)
    run(
        env,
        PYTHON.parent / "dagster",
        "asset",
        "materialize",
        "-m",
        DEFINITIONS,
        "--select",
        'key:"kafka/7MO-MSG"',
    )
    flume = next(service.command for service in services(company) if service.name == "flume")
    code_server = (
        PYTHON,
        "-m",
        CODE_SERVER,
        "code-server",
        "start",
        "-m",
        DEFINITIONS,
        "-h",
        LOOPBACK,
        "-p",
        str(ports["dagster_code"]),
    )
    beside_the_files = {
        "links": (PYTHON, "-I", PROJECT_ROOT / "qimo_assets" / "source" / "links.py", agent),
        "flume": (*flume[:-1], agent),
    }
    on_a_server = {"report": (PYTHON, "-m", "qimo_assets.report.serve"), "code": code_server}
    of_dagster = {
        "webserver": (
            PYTHON.parent / "dagster-webserver",
            "-w",
            workspace,
            "-h",
            LOOPBACK,
            "-p",
            str(ports["dagster"]),
        ),
        "daemon": (PYTHON.parent / "dagster-daemon", "run", "-w", workspace),
    }
    with running(home, env, beside_the_files | on_a_server | of_dagster):
        wait_for(lambda: answers(webserver))
        run(
            env,
            PYTHON,
            "-m",
            "qimo_assets.cli",
            "feed",
            "--lines",
            "3000",
            "--days",
            "2",
            "--bad",
            "0.02",
            "--seed",
            "5",
        )
        verified = json.loads(
            run(env, PYTHON, "-m", "qimo_assets.cli", "verify", "--json", "--wait")
        )
        assert verified["ok"]
        assert verified["lines"] == 3000
        run(env, PYTHON, "-m", "qimo_assets.cli", "doctor")


def answers(webserver: str) -> bool:
    """Return whether Dagster has loaded the code and every daemon lives."""
    try:
        probes.code_locations(webserver, TIMEOUT_SECONDS)
        probes.daemons(webserver, TIMEOUT_SECONDS)
    except Exception:  # noqa: BLE001  # whatever it is, it does not answer yet
        return False
    return True
