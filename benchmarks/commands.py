"""`./qimo bench`: one command a benchmark, its options made from its plan."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from importlib import import_module
from typing import Any

import click

from benchmarks.measure import Machine, Report
from benchmarks.plans import (
    HELP,
    LEAST,
    QUICK,
    AgePlan,
    CollectPlan,
    DayPlan,
    GrowPlan,
    IngestPlan,
    RefreshPlan,
    StartPlan,
    StoragePlan,
    chosen,
)
from benchmarks.testbed import DEFAULT_PORT_OFFSET, testbed

# Name -> plan; the module of this name in this room has `run(plan, bed)`, which returns figures.
PLANS: dict[str, type[Any]] = {
    "collect": CollectPlan,
    "ingest": IngestPlan,
    "age": AgePlan,
    "refresh": RefreshPlan,
    "day": DayPlan,
    "grow": GrowPlan,
    "start": StartPlan,
    "storage": StoragePlan,
}


@click.group()
def bench() -> None:
    """Measure the platform beside its baselines, on a stack of its own; the machine should do
    nothing else meanwhile.
    """


def _command(name: str, kind: type[Any]) -> click.Command:
    def run(*, as_json: bool, quick: bool, port_offset: int, **given: Any) -> None:
        # What was started is ended, and the directory removed, also when this process is told to
        # end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        plan = chosen(kind, quick=quick, **given)
        machine = Machine.of_now()
        with testbed(name, port_offset) as bed:
            figures = import_module(f"benchmarks.{name}").run(plan, bed)
        report = Report(name, figures, asdict(plan), machine)
        click.echo(
            json.dumps(report.as_dict(), indent=2, ensure_ascii=False)
            if as_json
            else report.render()
        )

    callback: Callable[..., Any] = run
    for option in reversed([*_options(kind), *_common_options()]):
        callback = option(callback)
    return click.command(name, help=kind.__doc__)(callback)


def _options(kind: type[Any]) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return [
        click.option(
            f"--{item.name.replace('_', '-')}",
            item.name,
            type=click.IntRange(min=item.metadata[LEAST]),
            multiple=isinstance(item.default, tuple),
            help=f"{item.metadata[HELP]}  [default: {_text(item.default)}; with --quick "
            f"{_text(item.metadata[QUICK])}]",
        )
        for item in fields(kind)
    ]


def _common_options() -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    return [
        click.option(
            "--quick",
            is_flag=True,
            help="Small sizes, to see that the benchmark itself works; its figures say nothing.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--port-offset",
            envvar="QIMO_BENCH_PORT_OFFSET",
            type=int,
            default=DEFAULT_PORT_OFFSET,
            show_default=True,
            help="Added to each usual port.",
        ),
    ]


def _text(value: Any) -> str:
    return " and ".join(f"{item:,}" for item in value) if isinstance(value, tuple) else f"{value:,}"


for _name, _kind in PLANS.items():
    bench.add_command(_command(_name, _kind))
