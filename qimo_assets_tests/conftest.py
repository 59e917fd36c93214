"""Tiers by folder, and the one real stack that the tiers which need it share.

unit and automation run alone; contract runs against the real software it names; browser looks at
the report in Chromium; integration runs against everything; faults hits everything while lines
flow; cluster and yarn hit what only the profile of that name has, and run only where the stack is
of it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from typing import Any
from urllib.request import Request, urlopen

import pytest

from benchmarks.testbed import FOREIGN
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, Settings, qimo_home
from qimo_assets.stack import control, install
from qimo_assets.stack.layout import Layout, current_layout
from qimo_assets.stack.profiles import PROFILES, SINGLE, USUAL_PORTS

TIERS = ("unit", "automation", "contract", "browser", "integration", "faults", "cluster", "yarn")
# Beside a stack of one's own at the usual ports; 21,000 would give the webserver the port of that
# one's code server.
TEST_PORT_OFFSET = os.environ.get("QIMO_TEST_PORT_OFFSET", "21500")
UP_SECONDS = 900
# More than the recount waits for a figure that does not move.
COMMAND_SECONDS = 600
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Stack:
    """A running stack with a QIMO_HOME of its own, and the checkout from which it is commanded."""

    home: Path
    env: dict[str, str]
    checkout: Path = PROJECT_ROOT

    def qimo(
        self, *arguments: str, check: bool = True, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run `./qimo` and return what it printed; with `check` any exit status but 0 fails the
        test with its output.
        """
        done = subprocess.run(
            [self.checkout / "qimo", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            pytest.fail(
                f"./qimo {' '.join(arguments)} ended with "
                f"{done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def verified(self) -> dict[str, Any]:
        """Wait until everything under way has arrived, and return the recount, which agrees."""
        return json.loads(self.qimo("verify", "--json", "--wait").stdout)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the Dagster webserver what its own pages ask."""
        url = self.status()["endpoints"]["dagster"] + "/graphql"
        body = json.dumps({"query": query, "variables": variables}).encode()
        with urlopen(
            Request(url, data=body, headers={"Content-Type": "application/json"}), timeout=60
        ) as answer:
            content = json.load(answer)
        assert "errors" not in content, content
        return content["data"]

    def runs(self, job: str, *statuses: str) -> list[dict[str, Any]]:
        """Return the newest runs of a job, newest first, as the page of runs lists them."""
        query = (
            "query($filter: RunsFilter) { runsOrError(filter: $filter, limit: 50) { ... on "
            "Runs { results { runId status tags { key value } "
            "assetSelection { path } } } } }"
        )
        return self.graphql(
            query,
            filter={"pipelineName": job, **({"statuses": list(statuses)} if statuses else {})},
        )["runsOrError"]["results"]

    def settings(self) -> Settings:
        """Return the settings of the stack."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("QIMO_CONFIG", str(self.home / "qimo.toml"))
            return Settings()  # pyright: ignore[reportCallIssue]  # the values come from the file

    def layout(self) -> Layout:
        """Return the paths and ports of the stack."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("QIMO_HOME", "QIMO_PORT_OFFSET"):
                patch.setenv(name, self.env[name])
            return current_layout()

    def status(self, *options: str) -> dict[str, Any]:
        """Return `status --json`."""
        return json.loads(self.qimo("status", "--json", *options, check=False).stdout)


def wait_for(what: Callable[[], Any], seconds: float = 180) -> Any:
    """Return the first true answer of `what`; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(POLL_SECONDS)
    return pytest.fail(f"nothing true within {seconds} s: {what}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the shared stack and of the fault matrix."""
    parser.addoption(
        "--profile",
        choices=tuple(PROFILES),
        default=SINGLE.name,
        help="Profile of the stack that the tests share.",
    )
    group = parser.getgroup("faults", "the fault matrix")
    group.addoption(
        "--kills",
        type=int,
        default=0,
        help="Kills of each process on the data path; 0: the reduced matrix, each process once.",
    )
    group.addoption(
        "--seed",
        type=int,
        default=randrange(1_000_000),
        help="Seed of the moments and of the lines; by chance when not given.",
    )
    group.addoption("--report", metavar="DIR", help="Directory in which the table is written.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tier of another profile than the stack's."""
    return True if collection_path.parent.name in {*PROFILES} - {config.option.profile} else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test outside the tiers, and run the tiers from the cheapest on."""
    places = {item.nodeid: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    strangers = [item.nodeid for item in items if places[item.nodeid] not in TIERS]
    if strangers:
        raise pytest.UsageError(f"tests outside the tiers {', '.join(TIERS)}: {strangers}")
    items.sort(key=lambda item: TIERS.index(places[item.nodeid]))


@pytest.fixture(scope="session")
def software() -> None:
    """The jars of this checkout's own QIMO_HOME, for tests that need them and no service."""
    install.install(current_layout())


def own_environment() -> dict[str, str]:
    """Return this process's environment without what would lead to another stack."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def new_stack(home: Path, port_offset: int) -> Stack:
    """Return a stack that is not started yet, with empty data and the software of this checkout's
    own QIMO_HOME.
    """
    home.mkdir(exist_ok=True)
    if not (home / "install").exists():
        (home / "install").symlink_to(qimo_home() / "install")
    return Stack(
        home, {**own_environment(), "QIMO_HOME": str(home), "QIMO_PORT_OFFSET": str(port_offset)}
    )


def free_ports() -> dict[str, int]:
    """Return a port for each service at which nobody listens."""
    with ExitStack() as held:
        return {
            name: held.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1]
            for name in USUAL_PORTS
        }


@contextmanager
def own_layout(ports: dict[str, int]) -> Iterator[Layout]:
    """Give a configured layout for a few services without the others, in a home of its own; what
    was started of it is stopped at the end.
    """
    # Not tmp_path, which may be too long for a Unix socket.
    home = Path(tempfile.mkdtemp(prefix="qimo-", dir="/tmp"))
    (home / "install").symlink_to(qimo_home() / "install")
    layout = Layout(home, ports)
    try:
        install.configure(layout)
        yield layout
    finally:
        control.stop(layout, print)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def stack(software: None, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The whole stack, started once, of the profile that the session asks for.

    `QIMO_TEST_KEEP` names a directory (short, for Unix sockets) for a stack that is left running
    with its data, so that the next run begins at once.
    """
    kept = os.environ.get("QIMO_TEST_KEEP")
    stack = new_stack(
        Path(kept) if kept else Path(tempfile.mkdtemp(prefix="qimo-", dir="/tmp")),
        int(TEST_PORT_OFFSET),
    )
    try:
        stack.qimo("up", "--profile", request.config.option.profile, timeout=UP_SECONDS)
        yield stack
    finally:
        if not kept:
            assert stack.qimo("down").stderr == "", "down had to break something off"
            assert not control.processes_of(stack.home), "down left processes behind"
            shutil.rmtree(stack.home)
