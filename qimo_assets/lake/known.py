"""What the stream has to know before it writes: the state and the commits since, or where they do
not reach back, the rows themselves.
"""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from qimo_assets.errors import ConfigurationError
from qimo_assets.lake.parse import place, place_at
from qimo_assets.lake.state import State, StateFiles
from qimo_assets.lake.tables import BATCH_TABLES, Table, set_aside, table_options
from qimo_assets.lake.timeline import completed_commits, exists, has_commits, starts_after
from qimo_assets.settings import LakeSettings

logger = logging.getLogger(__name__)

FIRST_INSTANT = "0" * 17


class MigrationNeeded(ConfigurationError):
    """The tables have no state, as those of an earlier release; the message says what to do."""


class OptionsDiffer(ConfigurationError):
    """A table was made with other options than it would be written with; the message names them."""


def open_state(spark: SparkSession, lake: LakeSettings, files: StateFiles, topic: str) -> State:
    """Return what is known of the lines in the lake, up to its newest commit.

    Args:
        spark: The driver's session.
        lake: Where the tables are.
        files: The files of the state.
        topic: The topic's name with its id.

    Raises:
        MigrationNeeded: There are tables and no state.
        OptionsDiffer: A table was made with other options.
    """
    made = [table for table in BATCH_TABLES if has_commits(spark, table.path(lake))]
    state = files.load()
    if state is None:
        # A migration that was broken off has set them aside.
        if made or any(exists(spark, set_aside(lake, table.name)) for table in BATCH_TABLES):
            raise MigrationNeeded(
                f"The tables of {lake.database} have nothing in {files.directory}: they were made "
                "by an earlier release, or it was lost. ./qimo migrate makes it from their rows, "
                "and may be broken off and run again; until then nothing is written."
            )
        state = State(
            # Older than any commit: those that were archived before the first folding are missed.
            folded={table.name: FIRST_INSTANT for table in BATCH_TABLES},
            made={table.name: table_options(table) for table in BATCH_TABLES},
        )
        # Before the first commit: tables without a state are another release's.
        files.save(state)
        return state
    check_options(state)
    for table in made:
        restore(spark, lake, table, state, topic)
    # What was read of rows and commits is not read again by the next run.
    files.save(state)
    return state


def check_options(state: State) -> None:
    """Refuse what a table was not made with.

    Raises:
        OptionsDiffer: At least one option differs.
    """
    for table in BATCH_TABLES:
        today, then = table_options(table), state.made.get(table.name, {})
        differing = {
            name for name in today.keys() | then.keys() if today.get(name) != then.get(name)
        }
        if differing:
            told = "; ".join(
                f"{name} is {today.get(name)} and was {then.get(name)}"
                for name in sorted(differing)
            )
            raise OptionsDiffer(
                f"{table.name} was made with other options, and rows would stand in it twice: "
                f"{told}. Write it with the release that made it."
            )


def restore(
    spark: SparkSession, lake: LakeSettings, table: Table, state: State, topic: str
) -> None:
    """Learn the places that a table's commits tell, and where commits were archived since the
    state was written, as when an older one was put back, those that the rows tell.
    """
    path = table.path(lake)
    if starts_after(spark, path, state.folded.get(table.name, FIRST_INSTANT)):
        logger.warning("The state is older than the timeline of %s: reading its rows", table.name)
        state.known.add(places_of(spark, path, topic, lake.max_line_bytes))
    for commit in completed_commits(spark, path):
        state.known.add(commit.places)
        state.folded[table.name] = commit.instant


def places_of(
    spark: SparkSession, path: str, topic: str, longest: int
) -> dict[str, list[tuple[int, int]]]:
    """Return where the rows of a table stood, as one range a place: it may be too much.

    Args:
        spark: The driver's session.
        path: The table's path.
        topic: The topic of which the lines without a file are taken to be; the table does not
            tell.
        longest: Bytes of the longest line. A row does not tell where its line ends, and a range
            that ended within it would leave a gap before the next line.
    """
    rows = spark.read.format("hudi").load(path)
    at = place_at(F.col("kafka_offset"))
    of_line = place(F.lit(topic), F.col("kafka_partition"))
    end = at + F.when(F.col("source_file").isNull(), 1).otherwise(longest + 1)
    found = rows.groupBy(of_line).agg(F.min(at), F.max(end)).collect()
    return {name: [(begin, end)] for name, begin, end in found}
