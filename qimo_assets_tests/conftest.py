"""Tiers by folder, and the one real stack that the tiers which need it share.

unit and automation run alone; contract runs against the real software it names; browser looks at
the report in Chromium; integration runs against everything; faults hits everything while lines
flow; cluster and yarn hit what only the profile of that name has, and run only where the stack is
of it.

With `-n` the tiers run side by side: see `place_of`. All that needs the stack stays in one worker,
in its order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from threading import RLock
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from xdist.scheduler import LoadScopeScheduling

from benchmarks.testbed import FOREIGN
from qimo_assets import tiers
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, Settings, qimo_home
from qimo_assets.stack import control, install
from qimo_assets.stack.layout import Layout, current_layout
from qimo_assets.stack.profiles import PROFILES, SINGLE, USUAL_PORTS
from qimo_assets_tests import jvm

# In the order in which they run, from the cheapest on.
TIERS = tuple(tiers.TIERS)
# Tiers on the shared stack.
ON_THE_STACK = {"integration", "faults", "cluster", "yarn"}
# What a company has already, and the platform works on.
SYSTEMS = {"kafka", "namenode", "datanode", "metastore", "thriftserver", "mysql"}
STACK = "stack"
# The order in which workers take places: what takes longest first. The browser comes last: its
# driver leaves an event loop in its process, and Dagster's conditions run one of their own.
PLACES = (STACK, "lakes", "contract", "automation", "unit", "browser")
# Of the tiers whose branch coverage is measured.
COVERED = {"unit", "automation"}
# Beside a stack of one's own at the usual ports; 21,000 would give the webserver the port of that
# one's code server.
TEST_PORT_OFFSET = int(os.environ.get("QIMO_TEST_PORT_OFFSET", "21500"))
UP_SECONDS = 900
# More than the recount waits for a figure that does not move.
COMMAND_SECONDS = 600
POLL_SECONDS = 1.0
_ENVIRONMENT = RLock()


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
        url = f"http://{LOOPBACK}:{self.layout().ports['dagster']}/graphql"
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
        with environment({"QIMO_CONFIG": str(self.home / "qimo.toml")}):
            return Settings()  # pyright: ignore[reportCallIssue]  # the values come from the file

    def layout(self) -> Layout:
        """Return the paths and ports of the stack."""
        with environment({name: self.env[name] for name in ("QIMO_HOME", "QIMO_PORT_OFFSET")}):
            return current_layout()

    def status(self, *options: str) -> dict[str, Any]:
        """Return `status --json`."""
        return json.loads(self.qimo("status", "--json", *options, check=False).stdout)


@contextmanager
def environment(variables: Mapping[str, str]) -> Generator[None, None, None]:
    """Have variables in this process for a moment.

    Threads take turns: of two at once the second would leave the first one's behind.
    """
    with _ENVIRONMENT, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


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


def pytest_configure(config: pytest.Config) -> None:
    """Listen to the interrupt with which `.ci/run` ends what takes too long: a shell that starts
    the tests in the background has them ignore it.
    """
    config.pluginmanager.register(Running(), "running")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Running:
    """Names the tests that run when a session is broken off."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note a test that begins, in whatever worker."""
        self._since[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Forget a test that has ended."""
        self._since.pop(nodeid, None)

    def pytest_keyboard_interrupt(self) -> None:
        """Name the tests that run."""
        for nodeid, since in self._since.items():
            print(f"\nbroken off after {time.monotonic() - since:.0f} s: {nodeid}")


def tier_of(nodeid: str) -> str:
    """Return the folder of a test below this one."""
    return file_of(nodeid).partition("/")[0]


def file_of(nodeid: str) -> str:
    """Return the file of a test below this folder."""
    return nodeid.partition("::")[0].rpartition("qimo_assets_tests/")[2]


def place_of(nodeid: str) -> str:
    """Return what a test has to share a worker with: all that needs the stack, or the tests of its
    file. Those of the browser share one with none: they come last, and the last file alone would
    leave a processor idle.
    """
    tier = tier_of(nodeid)
    if tier == "browser":
        return nodeid
    return STACK if tier in ON_THE_STACK else nodeid.partition("::")[0]


class PlaceScheduling(LoadScopeScheduling):
    """Gives each worker one place after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return place_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> PlaceScheduling:
    """Distribute the tests by their places, in the order of these."""
    # Else xdist begins with the places of most tests, and what takes longest comes last.
    config.option.loadscopereorder = False
    return PlaceScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a test outside the tiers, and run the tiers from the cheapest on; side by side from
    the longest on.
    """
    strangers = [item.nodeid for item in items if tier_of(item.nodeid) not in TIERS]
    if strangers:
        raise pytest.UsageError(f"tests outside the tiers {', '.join(TIERS)}: {strangers}")
    items.sort(key=lambda item: TIERS.index(tier_of(item.nodeid)))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: PLACES.index(_turn(item.nodeid)))
    for item in items:
        if tier_of(item.nodeid) not in COVERED:
            item.add_marker(pytest.mark.no_cover)


def _turn(nodeid: str) -> str:
    place = place_of(nodeid)
    return place if place in PLACES else tier_of(nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print tests and seconds of each tier; side by side the seconds are more than passed."""
    seconds: Counter[str] = Counter()
    tests: dict[str, set[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[tier_of(report.nodeid)] += report.duration  # pyright: ignore[reportArgumentType]  # a counter of seconds
                tests.setdefault(tier_of(report.nodeid), set()).add(report.nodeid)
    terminalreporter.section("tests and seconds of each tier")
    for tier in sorted(tests, key=TIERS.index):
        terminalreporter.write_line(f"{tier:<12}{len(tests[tier]):>6}{seconds[tier]:>9.0f}")
    total = sum(map(len, tests.values()))
    terminalreporter.write_line(f"{'all':<12}{total:>6}{sum(seconds.values()):>9.0f}")


@pytest.fixture(scope="session")
def software() -> None:
    """The jars of this checkout's own QIMO_HOME, for tests that need them and no service, and the
    archive of their classes.
    """
    install.install(current_layout())
    jvm.make_archive()


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
    own = {
        "QIMO_HOME": str(home),
        "QIMO_PORT_OFFSET": str(port_offset),
        # Each recount would wait a minute for the days that late lines touched, and as long for the
        # accounts.
        "QIMO_DAGSTER__LATE_MINUTES": "0",
        "QIMO_DAGSTER__REST": "0",
        # A second batch of a feed would be told ten seconds after the first, and published apart.
        "QIMO_LAKE__REPORT_SECONDS": "1",
        "JAVA_TOOL_OPTIONS": jvm.options(),
    }
    return Stack(home, {**own_environment(), **own})


def free_ports() -> dict[str, int]:
    """Return a port for each service at which nobody listens."""
    with ExitStack() as held:
        return {
            name: held.enter_context(socket.create_server((LOOPBACK, 0))).getsockname()[1]
            for name in USUAL_PORTS
        }


@contextmanager
def short_directory() -> Generator[Path, None, None]:
    """Give a directory for Unix sockets, until the end; tmp_path may be too long a path for
    theirs.
    """
    with tempfile.TemporaryDirectory(prefix="qimo-", dir="/tmp") as directory:
        yield Path(directory)


@contextmanager
def own_layout(ports: dict[str, int]) -> Generator[Layout, None, None]:
    """Give a configured layout for a few services without the others, in a home of its own; what
    was started of it is stopped at the end.
    """
    with short_directory() as home:
        (home / "install").symlink_to(qimo_home() / "install")
        layout = Layout(home, ports)
        try:
            install.configure(layout)
            yield layout
        finally:
            control.stop(layout, print)


@pytest.fixture(scope="session")
def stack(software: None, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The whole stack, of the profile that the session asks for.

    `QIMO_TEST_KEEP` names a directory (short, for Unix sockets) for a stack that is left running
    with its data, so that the next run begins at once.
    """
    kept = os.environ.get("QIMO_TEST_KEEP")
    home = Path(kept) if kept else Path("/tmp", f"qimo-{uuid4().hex[:8]}")
    stack = new_stack(home, TEST_PORT_OFFSET)
    try:
        stack.qimo("up", "--profile", request.config.option.profile, timeout=UP_SECONDS)
        yield stack
    finally:
        if not kept:
            end(stack)


@contextmanager
def environment_of(stack: Stack) -> Generator[None, None, None]:
    """Have the variables of a stack in this process, and of no other one."""
    with pytest.MonkeyPatch.context() as patch, environment(stack.env):
        for name in os.environ.keys() - stack.env.keys():
            if name.startswith(FOREIGN):
                patch.delenv(name)
        yield


def end(stack: Stack) -> None:
    """End a stack, and delete its home."""
    down = stack.qimo("down")
    assert down.stderr == "", "down had to break something off"
    assert "was killed" not in down.stdout, down.stdout
    assert not control.processes_of(stack.home), "down left processes behind"
    shutil.rmtree(stack.home)
