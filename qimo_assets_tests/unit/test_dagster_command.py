"""`./qimo dagster`: what cannot be meant is one line before anything is launched, and the commands
find the code where the daemon has it.
"""

from __future__ import annotations

from pathlib import Path

import click
import dagster as dg
import pytest

from qimo_assets import dagster_command
from qimo_assets.dagster_command import WrongArgument, check_backfill, check_materialize

DAILY = dg.DailyPartitionsDefinition("2021-01-01", end_date="2021-12-01")


@dg.asset(key=["mysql", "os"], partitions_def=DAILY)
def os_() -> None: ...


@dg.asset(key=["mysql", "network"], partitions_def=DAILY)
def network() -> None: ...


@dg.asset(key=["log", "chat"])
def chat() -> None: ...


GRAPH = dg.Definitions(assets=[os_, network, chat]).resolve_asset_graph()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"select": "key:mysql/oss"}, r"No asset is selected by 'key:mysql/oss'.*: mysql/os, "),
        ({"select": "key:nothing"}, "No asset is selected by 'key:nothing'. See ./qimo"),
        ({"select": "key:mysql/os,key:x"}, "No asset is selected by 'key:x'"),
        ({"select": "key:("}, "--select 'key:\\('"),
        ({"select": "key:mysql/os"}, "mysql/os has days: say which"),
        ({"select": "key:log/chat", "partition": "2021-11-07"}, "log/chat has no days"),
        ({"select": "key:log/chat", "partition_range": "a...b"}, "log/chat has no days"),
        (
            {"select": "key:mysql/os", "partition": "2031-01-01"},
            "'2031-01-01' is no day of mysql/os: its days are 2021-01-01 to 2021-11-30",
        ),
        ({"select": "key:mysql/os", "partition": "yesterday"}, "'yesterday' is no day"),
        ({"select": "key:mysql/os", "partition": "2021-2-5"}, "'2021-2-5' is no day"),
        (
            {"select": 'key:"mysql/*"', "partition_range": "2021-11-07...2021-11-01"},
            "ends before it begins: 2021-11-07 is after 2021-11-01",
        ),
        (
            {"select": "key:mysql/os", "partition_range": "2021-11-01...2031-01-01"},
            "'2031-01-01' is no day",
        ),
        ({"select": "key:mysql/os", "partition_range": "2021-11-01..2021-11-07"}, "FIRST...LAST"),
        ({"select": "key:mysql/os", "partition_range": "2021-11-01..."}, "FIRST...LAST"),
        (
            {"select": "key:mysql/os", "partition": "2021-11-01", "partition_range": "a...b"},
            "exclude each other",
        ),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_one_line(values: dict[str, str], says: str) -> None:
    with pytest.raises(WrongArgument, match=says) as told:
        check_materialize(values, lambda: GRAPH)
    assert "\n" not in told.value.message
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    "values",
    [
        {"select": "key:log/chat"},
        {"select": "key:mysql/os", "partition": "2021-11-07"},
        {"select": 'key:"mysql/*"', "partition_range": "2021-11-01...2021-11-07"},
        {"select": "key:mysql/os,key:mysql/network", "partition_range": "2021-11-07...2021-11-07"},
        {"select": "key:mysql/os or key:log/chat", "partition": "2021-11-07"},
        {},
    ],
    ids=str,
)
def test_what_can_be_meant_is_let_through(values: dict[str, str]) -> None:
    check_materialize(values, lambda: GRAPH)


def test_a_backfill_that_ends_before_it_begins_is_refused() -> None:
    def load() -> dg.AssetGraph:
        return pytest.fail("the assets are loaded for nothing")

    with pytest.raises(WrongArgument, match="--to is before --from"):
        check_backfill({"start_partition": "2021-11-07", "end_partition": "2021-11-01"}, load)
    check_backfill({"start_partition": "2021-11-07", "end_partition": "2021-11-07"}, load)


def told(
    monkeypatch: pytest.MonkeyPatch, workspace: Path, *arguments: str
) -> tuple[list[str], str | None]:
    """Return what Dagster's own command is given, and the module that it is told by."""
    given: list[list[str]] = []
    monkeypatch.delenv("DAGSTER_MODULE_NAME", raising=False)
    monkeypatch.setattr(click.Group, "main", lambda _, args, **__: given.append(args))
    dagster_command.run(arguments, str(workspace), lambda: GRAPH)
    [once] = given
    return once, dagster_command.os.environ.get("DAGSTER_MODULE_NAME")


@pytest.mark.parametrize(
    "command",
    ["job launch -j chat_stream", "job backfill -j x --all", "sensor stop x", "schedule start x"],
)
def test_commands_of_the_daemon_name_the_location_that_it_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    path, rest = command.split()[:2], command.split()[2:]
    assert told(monkeypatch, workspace, *path, *rest) == (
        [*path, "-w", str(workspace), *rest],
        None,
    )
    # Whoever names other code has it.
    other = [*path, "-m", "mine", *rest]
    assert told(monkeypatch, workspace, *other) == (other, None)


@pytest.mark.parametrize(
    "command", ["asset list", "asset materialize --select key:log/chat", "instance info", "--help"]
)
def test_other_commands_load_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    assert told(monkeypatch, tmp_path / "none.yaml", *command.split()) == (
        command.split(),
        dagster_command.MODULE,
    )
