"""The `qimo` command: the embedded stack, the simulator, the recount and the tools on
top of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import click

import qimo_assets
from qimo_assets import overview, simulator, tiers, verify
from qimo_assets.contract import TIMEZONE
from qimo_assets.errors import QimoError
from qimo_assets.query import FORMATS, Format, answer_all, decoded
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, Settings, SettingsError, load_settings
from qimo_assets.simulator import tail
from qimo_assets.stack import code, control, install
from qimo_assets.stack.accounts import make_kafka_account
from qimo_assets.stack.beeline import beeline_command
from qimo_assets.stack.errors import StackError
from qimo_assets.stack.layout import Layout, current_layout
from qimo_assets.stack.profiles import PROFILES
from qimo_assets.stack.services import DEFINITIONS, common_environment, flume_configuration
from qimo_assets.timeouts import REPLAY_SECONDS

# The module that stands for Dagster's own command; loading it takes seconds.
DAGSTER_COMMAND = "qimo_assets.dagster_command"
Say = Callable[[str], None]
# The live lines of the demo: an hour of them, few enough for two processors.
TAIL_RATE, TAIL_LINES = 20.0, 72_000


# As it stands, one tier a line.
TIERS_HELP = "\b\nTiers:\n" + "\n".join(
    f"  {name:<12} {text}" for name, text in tiers.TIERS.items()
)


class FullHelp(click.Group):
    """A group whose help lists each command with the whole first paragraph of its own."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, " ".join((command.help or "").split("\n\n")[0].split()))
                    for name, command in sorted(self.commands.items())
                ]
            )


@click.group(
    cls=FullHelp,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(
    qimo_assets.__version__, prog_name="qimo_assets", message="%(prog)s %(version)s"
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Chat lines from file to figure, once: Flume, Kafka, Spark, Hudi, Hive and MySQL as one
    Dagster asset graph.
    """
    if debug:
        os.environ["QIMO_DEBUG"] = "1"


@cli.command()
@click.option(
    "--lines", type=click.IntRange(min=1), default=200_000, show_default=True, help="Lines to feed."
)
def demo(lines: int) -> None:
    """Install and start everything, load a week of history, wait until MySQL shows it, and verify;
    it is left running, with new lines all the time for an hour.
    """
    clock = Clock(time.monotonic)
    layout = current_layout()
    _up(layout, clock)
    settings = load_settings()
    # Whole days up to this one, which then has live lines alone: loaded later, a day has no ages.
    today = datetime.now(ZoneInfo(TIMEZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
    fed = _feed(
        settings,
        lines=lines,
        rate=None,
        days=7,
        bad=0.01,
        late=0,
        repeat=0.01,
        seed=None,
        now=today - timedelta(seconds=1),
    )
    clock.say(fed)
    verification = _waited(settings, clock.say)
    clock.say("recounted")
    clock.end("data")
    click.echo(f"\n{verify.render(verification)}\n\n{clock.sum()}")
    click.echo("\nWhere to look:")
    for name, address in overview.endpoints(layout, secrets=False).items():
        if address:
            click.echo(f"  {name:<10}{address}")
    if not verification.ok:
        sys.exit(1)
    tail.start(
        _tail_record(layout),
        layout.log / "tail.log",
        settings.source.log_dir,
        TAIL_LINES,
        TAIL_RATE,
    )
    click.echo(
        f"\nNew lines come for an hour, {TAIL_RATE:.0f} a second: open the report and see today's "
        "curve move. `./qimo down` ends them with the rest."
    )


@cli.command()
@click.option(
    "--profile",
    type=click.Choice(tuple(PROFILES)),
    help="What the stack is made of; that of the data which is there, or single, if not given.",
)
def up(profile: str | None) -> None:
    """Start the embedded stack and Dagster; what runs already is left alone, but for
    the platform's own processes where its code changed.

    The profile `single` runs one of each. `cluster` runs three brokers that are reached by
    SASL_SSL, two data nodes, Spark's own cluster of two workers, and MariaDB by TLS. `yarn` is
    `single` with a resource manager and a node manager, which runs Spark's executors.
    """
    clock = Clock(time.monotonic)
    layout = current_layout(profile)
    _up(layout, clock)
    click.echo(
        f"Up: {clock.sum()}. Dagster: {overview.endpoints(layout, secrets=False)['dagster']}"
    )


@cli.command()
def down() -> None:
    """Stop what `up` started; the data stays."""
    layout = current_layout()
    if not control.is_running(layout):
        click.echo("Nothing is running.")
        return
    tail.stop(_tail_record(layout))
    _stop_runs(layout, click.echo)
    control.stop(layout, click.echo)


def _stop_runs(layout: Layout, say: Say) -> None:
    """End the runs, and before them the daemon, which would launch the stream again."""
    control.stop(layout, say, only={"dagster-daemon"})
    if control.is_running(layout, "mysql") and control.is_running(layout, "dagster-code"):
        try:
            _end_runs(layout)
        except Exception as error:  # noqa: BLE001  # whatever Dagster says of its storage, nothing is left running
            click.echo(
                "The runs could not be asked to end and are broken off: "
                f"{str(error).splitlines()[0]}",
                err=True,
            )


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--secrets", is_flag=True, help="Show the passwords of the endpoints.")
def status(as_json: bool, secrets: bool) -> None:
    """Show whether the stream runs, how far behind lake and MySQL are, which table services are
    pending, the disk, each component's state, memory and version, and where to connect. Exit status
    1 unless all run.
    """
    layout = current_layout()
    found = control.components(layout)
    state = overview.overall({component.state for component in found})
    known = (layout.secrets / "mysql_reader").exists()
    endpoints = overview.endpoints(layout, secrets=secrets) if known else {}
    now = overview.overview(layout, load_settings()) if known and state != "stopped" else None
    if as_json:
        told = {
            "state": state,
            "components": [asdict(component) for component in found],
            "endpoints": endpoints,
            "total_rss_mb": sum(component.rss_mb or 0 for component in found),
            **(now.as_dict() if now else {}),
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo(overview.render(state, found, endpoints, now))
    if _is_own_dagster(layout):
        _say_aside(
            "That is the embedded stack. QIMO_CONFIG and DAGSTER_HOME name systems of your own; "
            "./qimo doctor asks each of them."
        )
    if state != "running":
        sys.exit(1)


@cli.command()
@click.argument("service", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Lines of each log.",
)
def logs(service: str | None, follow: bool, lines: int) -> None:
    """Show the end of the log of a SERVICE as `status` names it, or of all."""
    layout = current_layout()
    files = overview.service_log(layout, service)
    # A log is rotated by its name.
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    os.execvp("tail", ["tail", *options, *files])


@cli.command()
@click.option("--lines", type=click.IntRange(min=0), required=True, help="Lines to append.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Lines per second, each with the present time; without it as fast as possible.",
)
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Days up to now over which the messages are spread, without --rate.",
)
@click.option(
    "--bad",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of lines that break the contract.",
)
@click.option(
    "--late",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of lines that are one to three days late.",
)
@click.option(
    "--repeat",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of lines that are copies of an earlier line.",
)
@click.option("--seed", type=int, help="Seed of everything that is left to chance.")
def feed(
    lines: int,
    rate: float | None,
    days: int,
    bad: float,
    late: float,
    repeat: float,
    seed: int | None,
) -> None:
    """Append lines to the log files as the chat servers do."""
    if bad + late + repeat > 1:
        raise click.UsageError(
            "--bad, --late and --repeat are shares of the lines: together at most 1."
        )
    fed = _feed(
        load_settings(),
        lines=lines,
        rate=rate,
        days=days,
        bad=bad,
        late=late,
        repeat=repeat,
        seed=seed,
    )
    click.echo(fed)


@cli.command(name="verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--wait", is_flag=True, help="First wait until the lines under way have arrived.")
def verify_command(as_json: bool, wait: bool) -> None:
    """Recount the source files in plain Python against lake, quarantine and every MySQL metric;
    exit status 1 on any difference.
    """
    settings = load_settings()
    verification = _waited(settings, _say_aside) if wait else verify.verify(settings)
    click.echo(
        json.dumps(verification.as_dict(), indent=2, ensure_ascii=False)
        if as_json
        else verify.render(verification)
    )
    if not verification.ok:
        sys.exit(1)


@cli.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> None:
    """Ask every endpoint of the settings a real question; exit status 1 when one does not work."""
    layout, settings = current_layout(), load_settings()
    if (layout.dagster_home / "dagster.yaml").exists():
        os.environ.update(_environment(layout))
    from qimo_assets import doctor

    answers = doctor.examine(settings)
    click.echo(
        json.dumps(doctor.as_dict(answers), indent=2, ensure_ascii=False)
        if as_json
        else doctor.render(answers)
    )
    if not all(answer.ok for answer in answers):
        sys.exit(1)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(as_json: bool) -> None:
    """Read the lines in quarantine again by today's contract and move the good ones into the lake;
    exit status 1 when that failed.
    """
    layout = current_layout()
    webserver: str | None = f"http://{layout.address('dagster')}"
    if _is_own_dagster(layout):
        webserver = load_settings().dagster.webserver
    elif not control.is_running(layout, "dagster-daemon"):
        raise StackError("Dagster is not running; ./qimo up starts it.")
    if not webserver:
        raise SettingsError("dagster.webserver is not set: the replay is launched there.")
    replayed = _replay(layout, webserver)
    moved, changed, kept = (sum(replayed[name].values()) for name in ("moved", "changed", "kept"))
    if as_json:
        click.echo(json.dumps(replayed, indent=2))
    else:
        reasons = ", ".join(
            f"{reason} {count:,}" for reason, count in sorted(replayed["moved"].items())
        )
        click.echo(
            f"{moved:,} rows are good now and in the lake" + (f" ({reasons})" if reasons else "")
        )
        click.echo(
            f"{changed:,} rows stay in quarantine for another reason than before, {kept:,} "
            "as they are"
        )


@cli.command()
def migrate() -> None:
    """Move the tables of an earlier release over; it may be broken off and run again."""
    from qimo_assets.lake.run import run_migration
    from qimo_assets.resources.kafka import KafkaResource
    from qimo_assets.resources.mysql import MySQLResource
    from qimo_assets.resources.spark import spark_resource

    os.environ.update(_environment(current_layout()))
    settings = load_settings()
    rows = run_migration(
        settings,
        spark_resource(settings),
        KafkaResource.from_settings(settings.kafka),
        MySQLResource.from_settings(settings.mysql),
        click.echo,
    )
    if not rows:
        click.echo("There is nothing to move.")
    for table, number in rows.items():
        click.echo(f"{table}: {number:,} rows, all of them moved")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("query", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How the answer is written.",
)
def sql(query: str | None, form: Format) -> None:
    """Run QUERY, or the statements on standard input, on the Thrift server; at a terminal without
    QUERY open beeline.
    """
    settings = load_settings()
    if query is None and sys.stdin.isatty():
        command = beeline_command(settings.hive, settings.lake.database)
        _replace_process(current_layout(), command)
    text = sys.stdin.buffer.read() if query is None else os.fsencode(query)
    # The answer is UTF-8 wherever the terminal's locale is not that of one.
    cast("TextIOWrapper", sys.stdout).reconfigure(encoding="utf-8", errors="replace")
    answer_all(settings.hive, settings.lake.database, decoded(text), form, click.echo)


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def agent(file: Path) -> None:
    """Write the Flume agent's configuration for a chat server to FILE, with its passwords and for
    its owner alone.
    """
    from qimo_assets.source.render import write_agent_configuration

    changed = write_agent_configuration(load_settings(), file)
    click.echo(f"{file} {'written' if changed else 'is as it should be'}")


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dagster(arguments: tuple[str, ...]) -> None:
    """Run the dagster command on the embedded stack's instance."""
    layout = current_layout()
    if _is_own_dagster(layout):
        raise StackError(
            "QIMO_CONFIG and DAGSTER_HOME name systems of your own: run dagster itself, with -w "
            "and your workspace.yaml (docs/deploy.md)."
        )
    workspace = str(layout.etc / "workspace.yaml")
    _replace_process(layout, [sys.executable, "-m", DAGSTER_COMMAND, workspace, *arguments])


@cli.command(context_settings={"ignore_unknown_options": True}, epilog=TIERS_HELP)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests with pytest; ARGUMENTS are pytest's, after the name of a tier if only that is
    meant. `./qimo test -- --help` shows pytest's own options.
    """
    sys.exit(
        subprocess.run(
            [sys.executable, "-m", "pytest", *tiers.pytest_arguments(arguments)], cwd=PROJECT_ROOT
        ).returncode
    )


@cli.command()
def sbom() -> None:
    """Print the software bill of materials of the locks, CycloneDX JSON."""
    from qimo_assets.stack.sbom import bill_of_materials

    click.echo(json.dumps(bill_of_materials(), indent=2))


@cli.command()
def env() -> None:
    """Print the environment of the embedded stack, for `eval "$(./qimo env)"`."""
    import shlex

    for name, value in {
        **common_environment(current_layout()),
        "DAGSTER_MODULE_NAME": DEFINITIONS,
    }.items():
        click.echo(f"export {name}={shlex.quote(value)}")


if (PROJECT_ROOT / "benchmarks").is_dir():
    # Of the checkout alone: an installed package has none.
    from benchmarks.commands import bench

    cli.add_command(bench)


class Clock:
    """Tells each line with the minutes and seconds since the start, and what each part took: the
    parts add up to the last of them.

    Args:
        now: Returns seconds that only grow.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._began = now, now()
        self._parts: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Print a line."""
        minutes, seconds = divmod(self._elapsed(), 60)
        click.echo(f"[{minutes:>2}:{seconds:02}] {text}")

    def end(self, part: str) -> None:
        """End a part, which began with the end of the one before."""
        self._parts[part] = self._elapsed() - sum(self._parts.values())

    def sum(self) -> str:
        """Return the seconds of each part and of all."""
        parts = " + ".join(f"{name} {seconds} s" for name, seconds in self._parts.items())
        return f"{parts} = {sum(self._parts.values())} s"

    def _elapsed(self) -> int:
        return int(self._now() - self._began)


def _say_aside(text: str) -> None:
    """Tell the progress where the answer is not."""
    click.echo(text, err=True)


def _up(layout: Layout, clock: Clock) -> None:
    """Install, configure and start; the clock tells each step."""
    fetched = install.install(layout)
    clock.say(f"the software is there, {fetched} jars of it new")
    clock.end("install")
    install.configure(layout)
    settings = load_settings()
    if not settings.report.is_local:
        raise StackError(
            f"report.host: every part of the embedded stack listens on {LOOPBACK}; let a "
            "reverse proxy or qimo_assets.report.serve do the rest."
        )
    # Before anything is made that takes its time.
    control.refuse_taken_ports(layout)
    _render_agent(layout, settings)
    install.format_data(layout)
    # Those who need the topic wait for the last broker.
    hooks = {
        layout.profile.brokers[-1]: lambda: _ensure_topic(layout, settings),
        "mysql": lambda: _make_room(layout),
    }
    if control.is_running(layout) and code.has_changed(layout):
        clock.say("the code changed: what runs of it is started again")
        _stop_runs(layout, clock.say)
        control.stop(layout, clock.say, only=set(code.SERVICES))
    control.start(layout, clock.say, once_ready=hooks)
    code.record(layout)
    clock.end("start")


def _render_agent(layout: Layout, settings: Settings) -> None:
    from qimo_assets.source.render import write_agent_configuration

    write_agent_configuration(settings, flume_configuration(layout))


def _ensure_topic(layout: Layout, settings: Settings) -> None:
    if layout.profile.secured:
        make_kafka_account(layout)
    # Dagster takes seconds to import, which pass while the broker's dependents start.
    from qimo_assets.resources.kafka import KafkaResource

    KafkaResource.from_settings(settings.kafka).ensure_topic()


def _make_room(layout: Layout) -> None:
    os.environ.update(common_environment(layout))
    from qimo_assets.instance.storage import make_room

    make_room()


def _feed(
    settings: Settings,
    *,
    lines: int,
    rate: float | None,
    days: int,
    bad: float,
    late: float,
    repeat: float,
    seed: int | None,
    now: datetime | None = None,
) -> str:
    """Append lines, and return what was appended."""
    report = simulator.feed(
        settings.source.log_dir,
        lines,
        rate=rate,
        days=days,
        bad=bad,
        late=late,
        repeat=repeat,
        seed=seed,
        now=now,
    )
    return (
        f"{report.lines:,} lines ({report.bytes:,} bytes; {report.bad:,} bad, "
        f"{report.late:,} late, {report.repeated:,} repeated) "
        f"appended in {settings.source.log_dir} in {report.seconds:.1f} s"
    )


def _tail_record(layout: Layout) -> Path:
    return layout.run / "tail.json"


def _waited(settings: Settings, say: Say) -> verify.Verification:
    # It loads the Kafka client and Dagster, for which no other command has to wait.
    from qimo_assets.waiting import wait_until_verified

    return wait_until_verified(settings, say)


def _is_own_dagster(layout: Layout) -> bool:
    """Return whether the environment names systems and a Dagster of your own, as docs/deploy.md has
    it set them. One variable alone may be there for another project.
    """
    home = os.environ.get("DAGSTER_HOME")
    return bool(os.environ.get("QIMO_CONFIG") and home and Path(home) != layout.dagster_home)


def _environment(layout: Layout) -> dict[str, str]:
    """Return the variables of the embedded stack, and none where Dagster is your own."""
    return {} if _is_own_dagster(layout) else common_environment(layout)


def _replay(layout: Layout, webserver: str) -> dict[str, dict[str, int]]:
    """Launch the replay, end the live stream, which holds the writer's lock and goes on afterwards
    by itself, and return what became of the rows.
    """
    os.environ.update(_environment(layout))
    import dagster as dg

    from qimo_assets.instance.runs import run_in_place_of
    from qimo_assets.lake.assets import QUARANTINED, REPLAY_JOB, STREAM_JOB

    with dg.DagsterInstance.get() as instance:
        told = run_in_place_of(
            instance,
            REPLAY_JOB,
            STREAM_JOB,
            QUARANTINED,
            webserver,
            REPLAY_SECONDS,
        )
    return {
        name: cast("dict[str, int]", told.metadata[name].value)
        for name in ("moved", "changed", "kept")
    }


def _end_runs(layout: Layout) -> None:
    os.environ.update(common_environment(layout))
    import dagster as dg

    from qimo_assets.instance.runs import end_all
    from qimo_assets.lake.assets import STREAM_JOB

    with dg.DagsterInstance.get() as instance:
        end_all(instance, STREAM_JOB)


def _replace_process(layout: Layout, command: list[str]) -> None:
    os.chdir(PROJECT_ROOT)
    os.execve(command[0], command, {**os.environ, **common_environment(layout)})


def main() -> None:
    """Run the command line; errors become one message and an exit status."""
    debug = "--debug" in sys.argv[1:2]
    try:
        sys.exit(cli(prog_name="./qimo", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except QimoError as error:
        if debug:
            raise
        click.echo(f"qimo: {error}", err=True)
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"qimo: {type(error).__name__}: {error}\nRun ./qimo --debug ... to see where.", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
