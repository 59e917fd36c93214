"""A backup of the lake taken while the stream runs, and the lake restored from it: what came since
is read from the topic again, each line once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qimo_assets_tests.hdfs import SHELL, hadoop
from qimo_assets_tests.lakes.lake import LINES, Lake, kill

SNAPSHOT = "backup"
# `hdfs dfsadmin`.
ADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"


@pytest.fixture
def snapshots(lake: Lake) -> Iterator[Lake]:
    """A lake whose file system takes snapshots of everything at one moment; afterwards
    it has none.
    """
    hadoop(lake.layout, ADMIN, "-allowSnapshot", "/")
    yield lake
    hadoop(lake.layout, SHELL, "-deleteSnapshot", "/", SNAPSHOT)
    hadoop(lake.layout, ADMIN, "-disallowSnapshot", "/")


def test_a_lake_restored_from_a_snapshot_of_the_running_stream_catches_up(snapshots: Lake) -> None:
    lake = snapshots
    places = (f"/warehouse/{lake.name}.db", f"/checkpoints/chat_message-{lake.name}")
    lake.send()
    stream = lake.start("live")
    try:
        # Two batches of three: the last one is under way or still to come.
        lake.wait_for(stream, lambda: len(commits(lake)) >= 2)
        hadoop(lake.layout, SHELL, "-createSnapshot", "/", SNAPSHOT)
        lake.send()
        lake.wait_for(stream, lambda: sum(partition.lag for partition in lake.kafka.state()) == 0)
    finally:
        kill(stream)
    lake.assert_once()

    for place in places:
        hadoop(lake.layout, SHELL, "-rm", "-r", "-skipTrash", place)
        hadoop(lake.layout, SHELL, "-cp", f"/.snapshot/{SNAPSHOT}{place}", place)
    assert 0 < len(lake.rows("chat_message")) <= LINES, "the snapshot holds what came before it"
    lake.finish()
    lake.assert_once()


def commits(lake: Lake) -> list[str]:
    """Return the completed commits of the messages."""
    return [
        name for name in lake.timeline("chat_message") if name.endswith("commit") and "_" in name
    ]
