"""HDFS of a stack, asked over HTTP and by its own commands."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import common_environment
from qimo_assets_tests.conftest import COMMAND_SECONDS

# `hdfs dfs`.
SHELL = "org.apache.hadoop.fs.FsShell"


def hdfs(layout: Layout, path: str, operation: str, method: str = "GET") -> dict[str, Any]:
    """Ask the name node; what is not there is empty."""
    address = f"http://127.0.0.1:{layout.ports['namenode_http']}/webhdfs/v1{quote(path)}"
    try:
        with urlopen(
            Request(
                f"{address}?op={operation}&recursive=true&user.name={getpass.getuser()}",
                method=method,
            ),
            timeout=60,
        ) as answer:
            return json.load(answer)
    except OSError:
        return {}


def hadoop(layout: Layout, tool: str, *arguments: str) -> None:
    """Run one of HDFS's own commands."""
    entries = os.pathsep.join(
        str(entry) for entry in (layout.etc / "hadoop", *class_path(layout, "hdfs"))
    )
    line = [java_home() / "bin" / "java", "-XX:-UsePerfData", "-cp", entries, tool, *arguments]
    done = subprocess.run(
        line,
        env=common_environment(layout),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
