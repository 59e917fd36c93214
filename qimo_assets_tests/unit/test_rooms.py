"""The rooms: each imports only itself, what all share, and the rooms to its left; nothing touches the network at import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "qimo_assets"
ROOMS = ["source", "topic", "lake", "views", "metrics", "report"]
SHARED = {"settings", "contract", "partitions", "automation", "resources"}
JOINS = {"definitions", "cli"}
SETTINGS = {
    "QIMO_SOURCE__LOG_DIR": "/nowhere",
    "QIMO_SOURCE__POSITION_FILE": "/nowhere/positions.json",
    "QIMO_KAFKA__BOOTSTRAP": "127.0.0.1:9",
    "QIMO_LAKE__WAREHOUSE": "hdfs://127.0.0.1:9/warehouse",
    "QIMO_LAKE__CHECKPOINT": "hdfs://127.0.0.1:9/checkpoint",
    "QIMO_LAKE__METASTORE_URIS": "thrift://127.0.0.1:9",
    "QIMO_LAKE__IP2REGION_JAR": "/nowhere.jar",
    "QIMO_HIVE__HOST": "127.0.0.1",
    "QIMO_HIVE__PORT": "9",
    "QIMO_MYSQL__HOST": "127.0.0.1",
    "QIMO_MYSQL__PASSWORD": "unused",
}


def imported_rooms(path: Path) -> set[str]:
    """Return the first level names below qimo_assets that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "qimo_assets" else {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("qimo_assets.")}


def allowed(room: str) -> set[str]:
    """Return what the files of a room, or a file at the top, may import."""
    if room in ROOMS:
        return {*ROOMS[: ROOMS.index(room) + 1], *SHARED}
    return {"stack": {"stack", "settings"}, "resources": {"resources", "settings", "contract"}}.get(room, {"settings", "contract"})


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in JOINS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_room_imports_one_to_its_right(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert imported_rooms(path) <= allowed(room)


def test_importing_the_definitions_opens_no_connection() -> None:
    program = """
import socket
def refuse(*arguments):
    raise AssertionError(f"connects to {arguments[1:]}")
socket.socket.connect = socket.socket.connect_ex = refuse
from qimo_assets.definitions import defs
print(len(defs.resolve_all_asset_specs()))
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), **SETTINGS}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 18
