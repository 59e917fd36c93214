"""A backup of the lake taken while the stream runs, and the lake restored from it: what came since
is read from the topic again, each line once.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.services import common_environment
from qimo_assets_tests.conftest import COMMAND_SECONDS, wait_for
from qimo_assets_tests.integration.lakes import LINES, Lake, kill

SNAPSHOT = "backup"
# `hdfs dfs` and `hdfs dfsadmin`.
SHELL = "org.apache.hadoop.fs.FsShell"
ADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"


def command(lake: Lake, tool: str, *arguments: str) -> None:
    """Run one of HDFS's own commands."""
    layout = lake.layout
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


@pytest.fixture
def snapshots(lake: Lake) -> Iterator[Lake]:
    """A lake whose file system takes snapshots of everything at one moment; afterwards
    it has none.
    """
    command(lake, ADMIN, "-allowSnapshot", "/")
    yield lake
    command(lake, SHELL, "-deleteSnapshot", "/", SNAPSHOT)
    command(lake, ADMIN, "-disallowSnapshot", "/")


def test_a_lake_restored_from_a_snapshot_of_the_running_stream_catches_up(snapshots: Lake) -> None:
    lake = snapshots
    places = (f"/warehouse/{lake.name}.db", f"/checkpoints/chat_message-{lake.name}")
    lake.send()
    stream = lake.start("live")
    try:
        # Two batches of three: the last one is under way or still to come.
        wait_for(lambda: len(commits(lake)) >= 2, 400)
        command(lake, SHELL, "-createSnapshot", "/", SNAPSHOT)
        lake.send()
        wait_for(lambda: sum(partition.lag for partition in lake.kafka.state()) == 0, 400)
    finally:
        kill(stream)
    lake.assert_once()

    for place in places:
        command(lake, SHELL, "-rm", "-r", "-skipTrash", place)
        command(lake, SHELL, "-cp", f"/.snapshot/{SNAPSHOT}{place}", place)
    assert 0 < len(lake.rows("chat_message")) <= LINES, "the snapshot holds what came before it"
    lake.finish()
    lake.assert_once()


def commits(lake: Lake) -> list[str]:
    """Return the completed commits of the messages."""
    return [
        name for name in lake.timeline("chat_message") if name.endswith("commit") and "_" in name
    ]
