"""Who may import whom, read from the source itself; and that loading the definitions asks nothing
of any service.
"""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets_tests.conftest import own_environment
from qimo_assets_tests.unit.conftest import REQUIRED

PACKAGE = PROJECT_ROOT / "qimo_assets"
BENCHMARKS = PROJECT_ROOT / "benchmarks"
ROOMS = ("source", "topic", "lake", "views", "metrics", "report")
SHARED = {
    "errors",
    "timeouts",
    "settings",
    "clients",
    "probes",
    "contract",
    "partitions",
    "columns",
    "metadata",
    "automation",
    "instance",
}
EVERYTHING = {
    *ROOMS,
    *SHARED,
    "resources",
    "stack",
    "simulator",
    "verify",
    "doctor",
    "overview",
    "tiers",
}
# A part (a module or a folder of the package) -> the parts that it may import beside itself.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    **dict.fromkeys(SHARED, SHARED),
    # It reads the settings, and nothing reads it.
    "settings_reference": {"settings"},
    "resources": SHARED,
    **{room: {*ROOMS[:place], *SHARED, "resources"} for place, room in enumerate(ROOMS)},
    # The same software as a company's: it knows no asset, and the rooms know nothing of it.
    "stack": {"__init__", "errors", "timeouts", "settings", "clients", "probes"},
    "simulator": {"contract", "errors"},
    # The recount shares nothing with the pipeline.
    "verify": {"settings", "clients", "errors"},
    # It asks the settings' endpoints, and compares the log files with the agent's positions.
    "doctor": {"errors", "settings", "clients", "probes", "resources", "stack", "source"},
    # It asks HiveServer2, whatever its tables are.
    "query": {"errors", "settings", "clients"},
    # Dagster's own command, beside the definitions that it loads.
    "dagster_command": {"definitions"},
    "overview": {"contract", "errors", "settings", "probes", "resources", "stack", "source"},
    "tiers": {"settings"},
    # It starts the others as processes of their own.
    "container": {"errors", "settings", "instance", "resources", "stack"},
    # Only these know all, and only the command knows the benchmarks.
    "definitions": EVERYTHING - {"stack", "simulator", "verify", "doctor", "overview", "tiers"},
    "benchmarks": {*EVERYTHING, "definitions"},
    "cli": {*EVERYTHING, "__init__", "query", "benchmarks"},
}
MODULES = sorted([*PACKAGE.rglob("*.py"), *BENCHMARKS.rglob("*.py")])
LOAD = """
import os, socket
def refuse(self, address):
    raise AssertionError(f"connects to {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
import psutil, sys
import qimo_assets.definitions
heavy = {"pandas", "pyecharts"} & set(sys.modules)
assert not heavy, "each run would spend half a second of a processor on them"
assert not psutil.Process().children(), psutil.Process().children()
print(len(list(qimo_assets.definitions.defs.resolve_all_asset_specs())), "assets")
"""


def part_of(path: Path) -> str:
    """Return the part to which a module belongs."""
    if path.is_relative_to(BENCHMARKS):
        return BENCHMARKS.name
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """Return the parts that a module imports, inside of functions and for type checking as well."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    of_package = [part for part in parts if part[0] == PACKAGE.name]
    return {part[1] if len(part) > 1 else "__init__" for part in of_package} | {
        part[0] for part in parts if part[0] == BENCHMARKS.name
    }


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("import qimo_assets.lake.run as run", {"lake"}),
        ("from qimo_assets import contract, verify", {"contract", "verify"}),
        ("from qimo_assets.views.sql import render", {"views"}),
        ("def f():\n    from qimo_assets.stack import jars", {"stack"}),
        ("import qimo_assets", {"__init__"}),
        ("from benchmarks.commands import bench", {"benchmarks"}),
        ("import json\nfrom qimo_assets_tests.conftest import Stack", set()),
    ],
)
def test_imports_of_every_form_are_seen(source: str, parts: set[str]) -> None:
    assert imported_parts(source) == parts


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_a_module_imports_only_what_its_part_may_know(module: Path) -> None:
    part = part_of(module)
    assert imported_parts(module.read_text()) <= ALLOWED[part] | {part}


def test_loading_the_definitions_connects_to_nothing_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        # Kafka's client and others connect without Python's sockets: every endpoint is this
        # listener, which nobody may reach.
        endpoints = {
            name: value.replace("127.0.0.1:9", f"127.0.0.1:{port}")
            for name, value in REQUIRED.items()
        }
        endpoints |= {
            "QIMO_HIVE__PORT": str(port),
            "QIMO_MYSQL__PORT": str(port),
            "QIMO_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(PROJECT_ROOT),
        }
        env = own_environment() | endpoints
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[0]) > 10
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert list(tmp_path.iterdir()) == []
