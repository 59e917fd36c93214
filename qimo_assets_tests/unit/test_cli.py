"""The command from outside: exit statuses, one message instead of a traceback, and what it says on
an empty home.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from qimo_assets import __version__, cli, overview, tiers
from qimo_assets.instance import runs
from qimo_assets.settings import PROJECT_ROOT, HiveSettings, load_settings
from qimo_assets.stack import code
from qimo_assets.stack.beeline import beeline_command
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import current_layout
from qimo_assets.stack.services import services
from qimo_assets_tests.conftest import TIERS, own_environment, short_directory, wait_for

FEED = ["feed", "--lines", "1"]
# What runs on a cluster and on YARN beside their own tiers.
BESIDE = [
    str(tiers.TESTS / "integration" / f"test_{name}.py")
    for name in ("end_to_end", "closed", "doctor")
]
# What the script needs beside a Python.
TOOLS = ("date", "cmp", "cp", "dirname", "mkdir", "rm", "tail")


def qimo(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, on this home and on nothing else of this machine's
    settings.
    """
    env = {
        **own_environment(),
        "QIMO_HOME": str(home),
        "PYTHONPATH": str(PROJECT_ROOT),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "qimo_assets.cli", *arguments],
        env=env,
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )


def status_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run the command in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["./qimo", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


# --- the tests


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), []),
        (("unit",), [str(tiers.TESTS / "unit")]),
        (("faults",), [str(tiers.TESTS / "faults"), "--kills", "5", "--report", "docs"]),
        (
            ("faults", "--kills", "1"),
            [str(tiers.TESTS / "faults"), "--kills", "5", "--report", "docs", "--kills", "1"],
        ),
        (("cluster", "-x"), [str(tiers.TESTS / "cluster"), *BESIDE, "--profile", "cluster", "-x"]),
        (("yarn", "-x"), [str(tiers.TESTS / "yarn"), *BESIDE, "--profile", "yarn", "-x"]),
        (("qimo_assets_tests/unit", "-k", "cli"), ["qimo_assets_tests/unit", "-k", "cli"]),
        (("-k", "unit"), ["-k", "unit"]),
    ],
)
def test_a_tier_is_named_by_its_folder(arguments: tuple[str, ...], given: list[str]) -> None:
    assert tiers.pytest_arguments(arguments) == given


def test_the_help_of_the_tests_names_each_tier(tmp_path: Path) -> None:
    done = qimo(tmp_path / "home", "test", "--help")
    assert done.returncode == 0, done.stderr
    assert list(tiers.TIERS) == list(TIERS)
    for name in TIERS:
        assert f"\n    {name}" in done.stdout
    assert "./qimo test -- --help" in done.stdout


def test_the_help_tells_each_command_in_full(tmp_path: Path) -> None:
    done = qimo(tmp_path / "home", "--help")
    assert done.returncode == 0
    assert "..." not in done.stdout.partition("Commands:")[2]
    words = " ".join(done.stdout.split())
    assert "against lake, quarantine and every MySQL metric; exit status 1 on any differ" in words


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = qimo(tmp_path / "home", "--version")
    assert (done.returncode, done.stdout) == (0, f"qimo_assets {__version__}\n")
    project = (PROJECT_ROOT / "pyproject.toml").read_text()
    assert 'version = { attr = "qimo_assets.__version__" }' in project


def test_logs_shows_the_end_of_a_services_log() -> None:
    with short_directory() as home:
        (home / "log").mkdir()
        (home / "log" / "flume.log").write_text("first\nlast\n")
        done = qimo(home, "logs", "flume", "-n", "1")
        unknown = qimo(home, "logs", "flum")
    assert (done.returncode, done.stdout) == (0, "last\n")
    assert unknown.returncode == 1
    assert "There is no service flum; there are kafka, " in unknown.stderr


# --- wrong use


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["up", "--fast"], "No such option"),
        (["up", "--profile", "enormous"], "'enormous' is not one of 'single', 'cluster', 'yarn'"),
        (["status", "all"], "unexpected extra argument"),
        (["feed"], "Missing option '--lines'"),
        (["feed", "--lines", "many"], "'many' is not a valid integer"),
        (["feed", "--lines", "-1"], "--lines"),
        ([*FEED, "--rate", "0"], "--rate"),
        ([*FEED, "--days", "0"], "--days"),
        ([*FEED, "--bad", "1.1"], "--bad"),
        ([*FEED, "--late", "-0.1"], "--late"),
        ([*FEED, "--bad", "0.5", "--late", "0.3", "--repeat", "0.3"], "together at most 1"),
        (["demo", "--lines", "0"], "--lines"),
        (["sql", "SELECT 1", "SELECT 2"], "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_2_and_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    word: str,
) -> None:
    assert status_of(monkeypatch, *arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert word in printed.err
    assert "Usage: ./qimo" in printed.err


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["feed", "--help"]], ids=" ".join)
def test_help_is_0(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert status_of(monkeypatch, *arguments) == 0
    assert capfd.readouterr().out.startswith("Usage: ./qimo")


def test_each_command_says_what_it_does() -> None:
    assert [name for name, command in cli.cli.commands.items() if not command.help] == []


# --- errors


@pytest.mark.parametrize("arguments", [["verify"], FEED], ids=" ".join)
def test_missing_settings_are_1_and_one_message(home: Path, arguments: list[str]) -> None:
    done = qimo(home, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"qimo: \d+ setting\(s\) missing or wrong \(file: ", done.stderr)
    assert "Run ./qimo up" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_checkout_counts_and_not_where_the_user_is(tmp_path: Path) -> None:
    another = tmp_path / "qimo_assets"
    another.mkdir()
    (another / "__init__.py").write_text("raise SystemExit('the other checkout')")
    done = subprocess.run(
        [PROJECT_ROOT / "qimo", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_profile_than_the_datas_is_1_and_one_message(home: Path) -> None:
    (home / "data" / "kafka").mkdir(parents=True)
    done = qimo(home, "up", "--profile", "cluster")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "made with the profile single" in done.stderr


def test_debug_shows_the_traceback(home: Path) -> None:
    done = qimo(home, "--debug", "verify")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "SettingsError" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("QIMO_PORT_KAFKA", "x", "QIMO_PORT_KAFKA must be a number, not 'x'."),
        ("QIMO_HOME", "/" + "a" * 100, "set QIMO_HOME to a shorter"),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_error_of_the_stack_is_1_and_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert status_of(monkeypatch, "status") == 1
    error = capfd.readouterr().err
    assert error.startswith("qimo: ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("home")
def test_a_defect_is_1_names_itself_and_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "current_layout", lambda: {}["no layout"])
    assert status_of(monkeypatch, "status") == 1
    assert (
        capfd.readouterr().err
        == "qimo: KeyError: 'no layout'\nRun ./qimo --debug ... to see where.\n"
    )
    with pytest.raises(KeyError):
        status_of(monkeypatch, "--debug", "status")


# --- an empty home


def test_the_status_of_nothing_is_stopped_and_1(home: Path) -> None:
    done = qimo(home, "status", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    status = json.loads(done.stdout)
    assert (status["state"], status["endpoints"]) == ("stopped", {})
    assert {tuple(component) for component in status["components"]} == {
        ("name", "state", "pid", "port", "rss_mb", "version", "reason")
    }
    assert {
        (component["state"], component["pid"], component["rss_mb"])
        for component in status["components"]
    } == {("stopped", None, None)}
    layout = current_layout()
    assert [(component["name"], component["port"]) for component in status["components"]] == [
        (service.name, layout.ports[service.ports[0]] if service.ports else None)
        for service in services(layout)
    ]
    assert list(home.parent.iterdir()) == []


@pytest.mark.usefixtures("home")
def test_the_status_of_nothing_can_be_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status_of(monkeypatch, "status") == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "stopped"
    assert re.findall(r"^(\S+) +stopped ", "\n".join(lines[1:]), re.MULTILINE) == [
        service.name for service in services(current_layout())
    ]


def test_down_stops_everything_although_the_runs_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[object] = []

    def refuse(layout: object) -> None:
        raise RuntimeError("no such storage\nand more")

    monkeypatch.setattr(cli, "_end_runs", refuse)
    monkeypatch.setattr(cli.control, "is_running", lambda *_: True)
    monkeypatch.setattr(cli.control, "stop", lambda _layout, _say, only=None: stopped.append(only))
    assert not status_of(monkeypatch, "down")
    assert stopped == [{"dagster-daemon"}, None]
    assert (
        "The runs could not be asked to end and are broken off: no such storage\n"
        in capsys.readouterr().err
    )


def test_down_on_nothing_is_0(home: Path) -> None:
    done = qimo(home, "down")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing is running.\n", "")
    assert list(home.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("states", "overall"),
    [
        ({"running"}, "running"),
        ({"stopped"}, "stopped"),
        ({"running", "stopped"}, "degraded"),
        ({"running", "unhealthy"}, "degraded"),
        ({"unhealthy"}, "degraded"),
    ],
)
def test_the_state_of_all_is_that_of_each(states: set[str], overall: str) -> None:
    assert overview.overall(states) == overall


def test_feed_appends_where_the_settings_say(
    tmp_path: Path, required: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIMO_SOURCE__LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setattr(sys, "argv", ["./qimo", "feed", "--lines", "100", "--seed", "1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert sum(path.read_bytes().count(b"\n") for path in (tmp_path / "logs").iterdir()) == 100
    assert not required.exists()


# --- the clock


def test_the_parts_of_the_clock_add_up_to_its_last_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = iter([100.0, 112.7, 112.9, 161.4, 161.6])
    clock = cli.Clock(lambda: next(times))
    clock.say("the software is there")
    clock.end("install")
    clock.say("the stack is up")
    clock.end("start")
    assert capsys.readouterr().out == "[ 0:12] the software is there\n[ 1:01] the stack is up\n"
    assert clock.sum() == "install 12 s + start 49 s = 61 s"


# --- the script


def script(
    tmp_path: Path, *pythons: tuple[str, str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a copy of ./qimo where PATH holds only its tools and these fakes: (name, version)."""
    bin_dir, root = copied(tmp_path)
    for name, version in pythons:
        major, minor = version.split(".")[:2]
        supported = 0 if (3, 10) <= (int(major), int(minor)) <= (3, 12) else 1
        (bin_dir / name).write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit '
            f"{supported}\n"
        )
        (bin_dir / name).chmod(0o755)
    env = {"PATH": str(bin_dir), "QIMO_HOME": str(tmp_path / "home"), **variables}
    return subprocess.run(
        [root / "qimo", "status"], env=env, capture_output=True, text=True, timeout=30
    )


def copied(tmp_path: Path, *others: str) -> tuple[Path, Path]:
    """Return a directory with the script's tools and others alone, and one with a copy of it."""
    bin_dir, root = tmp_path / "bin", tmp_path / "check out"
    bin_dir.mkdir()
    root.mkdir()
    for tool in (*TOOLS, *others):
        (bin_dir / tool).symlink_to(
            shutil.which(tool) or pytest.skip(f"this machine has no {tool}")
        )
    for name in ("qimo", "requirements.lock"):
        shutil.copy(PROJECT_ROOT / name, root / name)
    return bin_dir, root


# Makes an environment whose Python does nothing, once the file "go" is there, and tells of it.
SLOW_UV = """#!/bin/sh
[ "$1" = venv ] || exit 0
for venv in "$@"; do :; done
echo made >>"$HERE/made"
until [ -e "$HERE/go" ]; do sleep 0.05; done
mkdir -p "$venv/bin"
printf '#!/bin/sh\\n' >"$venv/bin/python"
chmod +x "$venv/bin/python"
"""


def test_of_two_at_once_one_makes_the_environment(tmp_path: Path) -> None:
    bin_dir, root = copied(tmp_path, "chmod", "sleep")
    (bin_dir / "python3").symlink_to(sys.executable)
    (bin_dir / "uv").write_text(SLOW_UV)
    (bin_dir / "uv").chmod(0o755)
    env = {"PATH": str(bin_dir), "QIMO_HOME": str(tmp_path / "home"), "HERE": str(tmp_path)}

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [root / "qimo", "status"], env=env, stderr=subprocess.PIPE, text=True
        )

    first = started()
    try:
        wait_for((tmp_path / "made").exists, seconds=20)
        second = started()
        assert second.stderr
        waits = second.stderr.readline()
    finally:
        (tmp_path / "go").touch()
        first.communicate(timeout=20)
    _, rest = second.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0)
    assert waits == ("qimo: another ./qimo is making the Python environment; waiting for it ...\n")
    assert rest == ""
    assert (tmp_path / "made").read_text() == "made\n"


@pytest.mark.parametrize("version", ["3.9.2", "3.13.0", "2.7.18"])
def test_an_unsupported_python_is_told_which_are_needed(tmp_path: Path, version: str) -> None:
    done = script(tmp_path, ("python3", version))
    assert done.returncode == 1
    assert (
        done.stderr == f"qimo: Python 3.10, 3.11 or 3.12 is needed; found Python {version}. Set "
        "QIMO_PYTHON to one.\n"
    )
    assert not (tmp_path / "home").exists()


def test_without_any_python_it_is_told_which_are_needed(tmp_path: Path) -> None:
    done = script(tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr
        == "qimo: Python 3.10, 3.11 or 3.12 is needed; found no python3. Set QIMO_PYTHON to one.\n"
    )


@pytest.mark.parametrize("named", [False, True], ids=["by its name", "by QIMO_PYTHON"])
def test_another_python_that_is_supported_is_taken(tmp_path: Path, named: bool) -> None:
    other = "mine" if named else "python3.11"
    done = script(
        tmp_path,
        ("python3", "3.9.2"),
        (other, "3.11.4"),
        **({"QIMO_PYTHON": other} if named else {}),
    )
    # The fake makes no environment; that it was asked to is enough.
    assert (
        f"making the Python environment in {tmp_path / 'home' / 'install' / 'venv'}" in done.stderr
    )
    assert "is needed" not in done.stderr
    assert done.returncode != 0


# --- systems of one's own


@pytest.fixture
def own_dagster(required: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and a home of Dagster that are not the embedded stack's."""
    monkeypatch.setenv("QIMO_CONFIG", str(required / "qimo.toml"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return tmp_path / "dagster"


@pytest.mark.usefixtures("own_dagster")
def test_dagster_on_systems_of_ones_own_is_run_by_itself(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status_of(monkeypatch, "dagster", "run", "list") == 1
    assert "run dagster itself, with -w and your workspace.yaml" in capfd.readouterr().err


@pytest.mark.parametrize("gone", ["QIMO_CONFIG", "DAGSTER_HOME"])
@pytest.mark.usefixtures("own_dagster")
def test_one_variable_alone_leads_to_no_other_dagster(
    monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.delenv(gone)
    layout, given = current_layout(), {}
    layout.secrets.mkdir(parents=True)
    (layout.secrets / "mysql_dagster").write_text("pw")
    monkeypatch.setattr(cli.os, "execve", lambda *arguments: given.update(arguments[2]))
    status_of(monkeypatch, "dagster", "run", "list")
    assert given["DAGSTER_HOME"] == str(layout.dagster_home)


@pytest.mark.usefixtures("own_dagster")
def test_the_status_says_that_it_is_not_of_systems_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status_of(monkeypatch, "status") == 1
    assert "./qimo doctor asks each of them" in capfd.readouterr().err


def test_a_replay_on_systems_of_ones_own_is_launched_at_their_webserver(
    own_dagster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    counts = SimpleNamespace(value={})
    told = SimpleNamespace(metadata=dict.fromkeys(("moved", "changed", "kept"), counts))
    monkeypatch.setattr(runs, "run_in_place_of", lambda *given: asked.extend(given) or told)
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(os.environ["DAGSTER_HOME"]))
    refused = CliRunner().invoke(cli.cli, ["replay"])
    assert str(refused.exception) == ("dagster.webserver is not set: the replay is launched there.")
    monkeypatch.setenv("QIMO_DAGSTER__WEBSERVER", "https://dagster.example/qimo")
    load_settings.cache_clear()
    assert CliRunner().invoke(cli.cli, ["replay"]).exit_code == 0
    assert (asked[0], asked[4]) == (str(own_dagster), "https://dagster.example/qimo")


def test_the_agents_configuration_for_a_chat_server_is_its_owners_alone(
    required: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.properties"
    for says in ("written", "is as it should be"):
        done = CliRunner().invoke(cli.cli, ["agent", str(path)])
        assert (done.exit_code, done.output) == (0, f"{path} {says}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_beelines_password_is_on_no_command_line() -> None:
    password = "not to be told"  # pragma: allowlist secret  # made up for a test
    hive = HiveSettings(host="hive", port=1, auth="LDAP", password=SecretStr(password))
    command = beeline_command(hive, "qimo")
    # As beeline reads it: another program, which opens the path.
    pipe = command[command.index("-w") + 1]
    read = subprocess.run(
        ["cat", pipe], pass_fds=[int(Path(pipe).name)], capture_output=True, text=True, timeout=10
    )
    os.close(int(Path(pipe).name))
    assert read.stdout == password
    assert password not in " ".join(command)


@pytest.mark.parametrize(
    "options", [{"auth": "KERBEROS"}, {"auth": "NOSASL"}, {"ca_file": __file__}]
)
def test_where_beeline_cannot_connect_another_way_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(StackError, match="as QUERY or on standard input"):
        beeline_command(HiveSettings(host="hive", port=1, **options), "qimo")


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("argument", ["SELECT 1", "-- first of all\nSELECT 1", "-- a"])
def test_a_server_that_is_not_there_is_1_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], argument: str
) -> None:
    assert status_of(monkeypatch, "sql", argument) == 1
    printed = capfd.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    says = "There is no statement in it." if argument == "-- a" else "HiveServer2 at 127.0.0.1:9 "
    assert printed.err.startswith(f"qimo: {says}")


def test_the_embedded_report_is_not_served_to_other_machines(
    required: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIMO_REPORT__HOST", "0.0.0.0")
    monkeypatch.setenv("QIMO_REPORT__ACCESS_PASSWORD", "x")
    monkeypatch.setenv("QIMO_REPORT__SERVER_FILE", __file__)
    monkeypatch.setattr(cli.install, "install", lambda _: 0)
    monkeypatch.setattr(cli.install, "configure", lambda _: None)
    monkeypatch.setattr(cli.control, "start", lambda *_, **__: pytest.fail("it is started"))
    with pytest.raises(StackError, match="listens on 127.0.0.1"):
        cli._up(current_layout(), cli.Clock(lambda: 0.0))


@pytest.mark.parametrize("has_changed", [True, False])
@pytest.mark.usefixtures("required")
def test_up_starts_again_what_runs_of_changed_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_changed: bool
) -> None:
    done: list[Any] = []
    layout, package = current_layout(), tmp_path / "package"
    layout.make_directories()
    package.mkdir()
    (package / "flow.py").write_text("old")
    code.record(layout, package)
    (package / "flow.py").write_text("new" if has_changed else "old")
    assert code.has_changed(layout, package) is has_changed
    monkeypatch.setattr(code, "has_changed", partial(code.has_changed, code=package))
    for name in ("install", "configure", "format_data"):
        monkeypatch.setattr(cli.install, name, lambda _: 0)
    monkeypatch.setattr(cli, "_render_agent", lambda *_: None)
    monkeypatch.setattr(cli, "_end_runs", lambda _: done.append("runs ended"))
    monkeypatch.setattr(cli.control, "refuse_taken_ports", lambda _: None)
    monkeypatch.setattr(cli.control, "is_running", lambda *_: True)
    monkeypatch.setattr(cli.control, "stop", lambda _layout, _say, only: done.append(only))
    monkeypatch.setattr(cli.control, "start", lambda *_, **__: done.append("started"))
    cli._up(layout, cli.Clock(lambda: 0.0))
    stopped = [{"dagster-daemon"}, "runs ended", set(code.SERVICES)] if has_changed else []
    assert done == [*stopped, "started"]
    assert {service.name for service in services(layout)} >= code.SERVICES
    monkeypatch.undo()
    assert not code.has_changed(layout)
