"""Loading the definitions asks nothing of any service, and loads what a run of metrics needs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets_tests.conftest import own_environment
from qimo_assets_tests.unit.conftest import REQUIRED

LOAD = """
import os, socket
def refuse(self, address):
    raise AssertionError(f"connects to {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
import pathlib, psutil, sys
import qimo_assets.definitions
from qimo_assets.views.sql import read_sql
heavy = {"pandas", "pyecharts"} & set(sys.modules)
assert not heavy, "each command would spend half a second of a processor on them"
with_threads = {"polars", "pyarrow", "grpc"} & set(sys.modules)
assert not with_threads, "a run, forked from what is loaded here, would lack their threads"
assert not psutil.Process().children(), psutil.Process().children()
def gone(self, *arguments, **options):
    raise AssertionError(f"a run, forked later, would read {self} as it is then")
pathlib.Path.read_text = gone
for directory in qimo_assets.definitions.VIEWS_SQL, qimo_assets.definitions.METRICS_SQL:
    for path in directory.glob("*.sql"):
        read_sql(path)
print(len(list(qimo_assets.definitions.defs.resolve_all_asset_specs())), "assets")
"""


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
