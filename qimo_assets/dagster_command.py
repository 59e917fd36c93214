"""The `dagster` command on the embedded stack's instance: its commands find the code where the
daemon has it, what cannot be meant is refused before anything is launched, and an error is one
line.

`python -m qimo_assets.dagster_command WORKSPACE ARGUMENTS`; `./qimo dagster` runs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import click
import dagster as dg
from dagster._cli import ENV_PREFIX, create_dagster_cli
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster_shared.check import CheckError
from dagster_shared.error import DagsterError

DEBUG = "QIMO_DEBUG"
MODULE = "qimo_assets.definitions"
RANGE = "..."
# Options by which somebody names other code than the platform's.
TARGETS = ("workspace", "python_file", "module_name", "package_name", "grpc_port", "grpc_socket")


class WrongArgument(click.ClickException):
    """An argument that cannot be meant; the message is one line."""

    exit_code = 2


def run(arguments: Sequence[str], workspace: str, graph: Callable[[], AssetGraph]) -> None:
    """Run one of Dagster's commands.

    Args:
        arguments: What stands behind `dagster`.
        workspace: The file that tells where the daemon has its code.
        graph: Loads the assets.

    Raises:
        click.ClickException: An argument is wrong, or the command says that it failed.
        DagsterError: The command failed.
    """
    cli = create_dagster_cli()
    leaf, path, rest = _leaf(cli, list(arguments))
    # A run is known by the location of its code: one that was launched from the module itself waits
    # for ever, for the daemon knows the code server alone.
    if any(
        isinstance(option, click.Option) and option.name == "workspace" for option in leaf.params
    ):
        if not _names_code(leaf, path, rest):
            rest = ["-w", workspace, *rest]
    else:
        os.environ.setdefault("DAGSTER_MODULE_NAME", MODULE)
    if check := CHECKS.get(" ".join(path)):
        check(_values(leaf, path, rest), graph)
    cli.main(
        [*path, *rest], prog_name="dagster", standalone_mode=False, auto_envvar_prefix=ENV_PREFIX
    )


def _leaf(cli: click.Command, arguments: list[str]) -> tuple[click.Command, list[str], list[str]]:
    """Return the command that arguments name, their part that names it, and the rest."""
    path: list[str] = []
    while isinstance(cli, click.Group) and arguments and arguments[0] in cli.commands:
        cli = cli.commands[arguments[0]]
        path.append(arguments.pop(0))
    return cli, path, arguments


def _names_code(leaf: click.Command, path: list[str], rest: list[str]) -> bool:
    values = _values(leaf, path, rest)
    return any(values.get(name) for name in TARGETS) or bool(values.get("empty_workspace"))


def _values(leaf: click.Command, path: list[str], rest: list[str]) -> dict[str, Any]:
    """Return the values of a command's options without running it."""
    name = " ".join(["dagster", *path])
    with leaf.make_context(
        name, list(rest), resilient_parsing=_asks_for_help(leaf, rest)
    ) as context:
        return context.params


def _asks_for_help(leaf: click.Command, rest: list[str]) -> bool:
    return bool({"--help", "-h"} & set(rest))


# --- what is refused


def check_materialize(values: dict[str, Any], load: Callable[[], AssetGraph]) -> None:
    """Refuse a selection of nothing, and days that the selected assets do not have."""
    select = values.get("select")
    if not select:
        return
    graph = load()
    keys = _selected(select, graph)
    day, days = values.get("partition"), values.get("partition_range")
    if day and days:
        raise WrongArgument("--partition and --partition-range exclude each other.")
    daily = sorted(key for key in keys if graph.get(key).is_partitioned)
    if not daily:
        if day or days:
            raise WrongArgument(f"{_listed(keys)} has no days: leave --partition out.")
        return
    if day:
        _refuse_strangers([day], daily, graph)
    elif days:
        first, found, last = days.partition(RANGE)
        if not found or not first or not last:
            raise WrongArgument(f"--partition-range is FIRST{RANGE}LAST, not {days!r}.")
        _refuse_strangers([first, last], daily, graph)
        if first > last:
            raise WrongArgument(
                f"--partition-range ends before it begins: {first} is after {last}."
            )
    else:
        raise WrongArgument(
            f"{_listed(daily)} has days: say which, --partition DAY or "
            f"--partition-range FIRST{RANGE}LAST."
        )


def check_backfill(values: dict[str, Any], load: Callable[[], AssetGraph]) -> None:
    """Refuse a range that ends before it begins: Dagster would find no day in it and break."""
    first, last = values.get("start_partition"), values.get("end_partition")
    if first and last and first > last:
        raise WrongArgument(f"--to is before --from: {first} is after {last}.")


CHECKS = {"asset materialize": check_materialize, "job backfill": check_backfill}


def _selected(select: str, graph: AssetGraph) -> set[dg.AssetKey]:
    """Return the assets of a selection, each part of which selects some."""
    found: set[dg.AssetKey] = set()
    for part in select.split(","):
        try:
            keys = dg.AssetSelection.from_coercible([part]).resolve(graph)
        except Exception as error:
            raise WrongArgument(f"--select {part!r}: {_one_line(error)}") from error
        if not keys:
            raise WrongArgument(f"No asset is selected by {part!r}.{_nearest(part, graph)}")
        found |= keys
    return found


def _nearest(part: str, graph: AssetGraph) -> str:
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    asked = part.removeprefix("key:").strip("\"'")
    near = get_close_matches(asked, names, n=3)
    return f" The nearest: {', '.join(near)}." if near else " See ./qimo dagster asset list."


def _refuse_strangers(days: Iterable[str], keys: Sequence[dg.AssetKey], graph: AssetGraph) -> None:
    for key in keys:
        definition = graph.get(key).partitions_def
        assert definition is not None, "these assets have days"
        for day in days:
            if not definition.has_partition_key(day):
                first, last = (
                    definition.get_first_partition_key(),
                    definition.get_last_partition_key(),
                )
                raise WrongArgument(
                    f"{day!r} is no day of {key.to_user_string()}: its days are {first} to {last}."
                )


def _listed(keys: Iterable[dg.AssetKey]) -> str:
    names = sorted(key.to_user_string() for key in keys)
    return names[0] if len(names) == 1 else f"Of {', '.join(names)} each"


def _one_line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())


def load_graph() -> AssetGraph:
    """Return the platform's assets; a second of a processor."""
    from qimo_assets.definitions import defs

    return defs.resolve_asset_graph()


def main() -> None:
    """Run the command line; errors become one line and an exit status."""
    try:
        run(sys.argv[2:], sys.argv[1], load_graph)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (DagsterError, CheckError, OSError) as error:
        if os.environ.get(DEBUG):
            raise
        click.echo(f"qimo: {_one_line(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
