"""The streaming job in a process of its own, which a test may kill at a point of its choice.

    python -m qimo_assets_tests.lakes.driver live|catch_up|replay [none|CRASH]
    python -m qimo_assets_tests.lakes.driver serve none

The second form does run after run, each of a lake that a line on its standard input names, and
answers with its exit status: a JVM that has run the code before takes a third of the time.

Everything is the platform's own, from the run down to the tables; only the crash is put in here.
The tables are clustered, cleaned, archived and made known to the metastore at nearly every commit,
so that each of these is under way at most moments.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg

from qimo_assets.lake.assets import (
    MESSAGES,
    QUARANTINED,
    REPLAY_JOB,
    STREAM_JOB,
    build_lake_definitions,
)
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.tables import MESSAGE, QUARANTINE, Table
from qimo_assets.lake.write import TableWriter
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.resources.spark import spark_resource
from qimo_assets.settings import Settings, load_settings

# The point of a crash -> the tables of a batch that are committed at it.
CRASHES = {
    "after the commits": {MESSAGE, QUARANTINE},
    "after the messages": {MESSAGE},
    "after the quarantine": {QUARANTINE},
}
BUSY = Pace(
    # Without a pause nothing else would be done.
    look_seconds=2,
    files=2,
    folded_after=2,
    clean_seconds=4,
    readers_minutes=0,
    options={"hoodie.keep.min.commits": "4", "hoodie.keep.max.commits": "5"},
)


def die() -> None:
    """End this process and its JVM at once, as a power cut does."""
    os.killpg(0, signal.SIGKILL)


class CrashingWriter(TableWriter):
    """Writes as the platform does, up to the crash, and tells the metastore each time."""

    committed: ClassVar[set[Table]] = set()

    def write(self, table: Table, *arguments: Any, **options: Any) -> None:
        """Write one table; die once those are written that are to be, and write none
        that is not.
        """
        self.synced.clear()
        last = CRASHES.get(sys.argv[2])
        if last and table not in last:
            # The other table's thread ends the process meanwhile.
            threading.Event().wait()
        super().write(table, *arguments, **options)
        self.committed.add(table)
        if last and last <= self.committed:
            die()


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return the lake's definitions as the platform has them, but for the writer and its pace."""
    return dg.Definitions.merge(
        build_lake_definitions(settings, BUSY, CrashingWriter),
        dg.Definitions(
            executor=dg.in_process_executor,
            resources={
                "kafka": KafkaResource.from_settings(settings.kafka),
                "spark": spark_resource(settings),
                "mysql": MySQLResource.from_settings(settings.mysql),
            },
        ),
    )


def run(mode: str) -> None:
    """Run the platform's job, or materialize its tables, until it ends."""
    definitions = build_definitions(load_settings())
    instance = dg.DagsterInstance.ephemeral()
    if mode == "catch_up":
        definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={MESSAGES, QUARANTINED}
        ).execute_in_process(instance=instance)
    else:
        job = {"live": STREAM_JOB, "replay": REPLAY_JOB}[mode]
        definitions.resolve_job_def(job).execute_in_process(instance=instance)


def main(arguments: Iterable[str]) -> None:
    """Run with the crash put in."""
    mode, _ = arguments
    if mode == "serve":
        serve()
    else:
        run(mode)


def serve() -> None:
    """Do what is asked for until the standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    for line in sys.stdin:
        asked = json.loads(line)
        with Path(asked["log"]).open("ab") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        os.environ.clear()
        os.environ.update(asked["env"])
        load_settings.cache_clear()
        status = 0
        try:
            run(asked["mode"])
        except Exception:  # noqa: BLE001  # as the end of a process tells it
            traceback.print_exc()
            status = 1
        answers.write(f"{status}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
