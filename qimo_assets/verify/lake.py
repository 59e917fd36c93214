"""What lake and quarantine say, by queries of their own through HiveServer2."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from qimo_assets.clients import hive_transport
from qimo_assets.settings import HiveSettings, Settings
from qimo_assets.verify.errors import Ask, VerifyError, first_line
from qimo_assets.verify.line import ZONE, latest_time
from qimo_assets.verify.metrics import Row
from qimo_assets.verify.recount import SourceFile

Answer = TypeVar("Answer")

LAKE_TABLE = "chat_message_rt"
QUARANTINE_TABLE = "chat_quarantine_rt"
# Queries at a time.
AT_ONCE = 3
_ORIGIN = "source_host, source_file, source_id"
# Late messages of each day, and the ages of the others at which half and 99 % of them are reached:
# the sorted ages themselves, by place.
_AGE_AT = (
    "element_at(array_sort(collect_list(age)), CAST(greatest(ceil({share}D * "
    "count(age)), 1) AS INT))"
)
_ARRIVALS = f"""
SELECT day, count(*) - count(age), {_AGE_AT.format(share=0.5)}, {_AGE_AT.format(share=0.99)}
FROM (
  SELECT day, IF(to_date(msg_time) < to_date(collected_at), NULL,
                 greatest(CAST(written_at AS BIGINT) - CAST(msg_time AS BIGINT), 0)) AS age
  FROM {{table}}
)
GROUP BY 1
"""  # nosec B608  # this file's names

_NEWEST = "SELECT day, max(_hoodie_commit_time) FROM {table} GROUP BY day"  # nosec B608  # this file's names
# A rejected line counts on the day of its first arrival.
_REJECTED = """
SELECT arrival.day, arrival.reason, count(*)
FROM (
  SELECT min(struct(collected_at, kafka_partition, kafka_offset, day, reason)) AS arrival
  FROM {table}
  GROUP BY message_id
)
GROUP BY 1, 2
"""  # nosec B608  # this file's names


@dataclass(frozen=True)
class LakeAnswer:
    """What lake and quarantine say.

    Attributes:
        rows: Rows of each file and day; the file is None where the records tell none.
        quarantined: Rows in quarantine of each file and reason.
        messages: Distinct message ids of the lake.
        records: Distinct (partition, offset) of the lake.
        ahead: Rows of the lake whose time is too far after their collection.
        rejected_ahead: For each file the byte offsets of the lines rejected as `time_ahead`, with
            the last time that would not have been.
        rejected: Rejected lines of each day of collection and reason.
        plain: Partition with day or reason: rows of the lines that name no file, and the first and
            the last offset of them.
        arrivals: For each day of messages how many of them are late, and the ages in seconds that
            half and 99 % of the others do not exceed; None where all are late.
    """

    rows: dict[tuple[SourceFile | None, str], int]
    quarantined: dict[tuple[SourceFile | None, str], int]
    messages: int
    records: int
    ahead: int
    rejected_ahead: dict[SourceFile, dict[int, str]] = field(default_factory=dict)
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    arrivals: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    plain: dict[tuple[int, str], tuple[int, int, int]] = field(default_factory=dict)

    def files(self) -> dict[SourceFile, int]:
        """Return the rows of lake and quarantine of each known file."""
        counts: Counter[SourceFile] = Counter()
        for (file, _), count in (*self.rows.items(), *self.quarantined.items()):
            if file is not None:
                counts[file] += count
        return dict(counts)

    def plain_ranges(self) -> dict[int, tuple[int, int]]:
        """Return the first and the last offset of each partition's lines that name no file."""
        ranges: dict[int, tuple[int, int]] = {}
        for (partition, _), (_, first, last) in self.plain.items():
            before = ranges.get(partition, (first, last))
            ranges[partition] = min(first, before[0]), max(last, before[1])
        return ranges


def read_lake(settings: Settings) -> LakeAnswer:
    """Read the lake and the quarantine through HiveServer2.

    Raises:
        VerifyError: HiveServer2 does not answer.
    """
    return _with_hive(settings.hive, lambda ask: lake_answer(ask, settings))


def read_newest_commits(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the newest commit that wrote a row of each day, of messages and of quarantine.

    Raises:
        VerifyError: HiveServer2 does not answer.
    """
    return _with_hive(settings.hive, lambda ask: newest_commits(ask, settings.lake.database))


def newest_commits(ask: Ask, database: str) -> dict[str, dict[str, str]]:
    """Put `read_newest_commits` together out of queries."""
    present = _tables(ask, database)
    return {
        table: dict(ask(_NEWEST.format(table=f"`{database}`.`{table}`")))
        for table in (LAKE_TABLE, QUARANTINE_TABLE)
        if table in present
    }


def _with_hive(hive: HiveSettings, read: Callable[[Ask], Answer]) -> Answer:
    from pyhive.exc import Error
    from thrift.Thrift import TException

    def ask(query: str) -> list[Row]:
        # A connection of its own: one at a time asks through it.
        with closing(_connect_hive(hive)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    try:
        return read(ask)
    except (Error, TException, OSError) as error:
        raise VerifyError(
            f"HiveServer2 at {hive.host}:{hive.port} cannot be read: "
            f"{_hive_message(error)}. See ./qimo status; ./qimo up starts the embedded stack."
        ) from error


def lake_answer(ask: Ask, settings: Settings) -> LakeAnswer:
    """Put the lake's answer together out of queries.

    Args:
        ask: Runs a query and returns its rows; it is asked from several threads.
        settings: The database's name and the limits.

    Returns:
        What lake and quarantine say; a table that is not there yet has no rows.
    """
    database = settings.lake.database
    present = _tables(ask, database)

    def rows_of(table: str, query: str) -> list[Row]:
        if table not in present:
            return []
        lines = _rejected(database, LAKE_TABLE in present)
        return ask(query.format(table=f"`{database}`.`{table}`", lines=lines))

    ahead = settings.lake.max_ahead_minutes * 60
    # Most of a query is the server's planning, in one thread.
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        submitted = {
            name: pool.submit(rows_of, table, query)
            for name, (table, query) in _queries(ahead).items()
        }
        found = {name: answer.result() for name, answer in submitted.items()}
    [(messages, records, too_far)] = found["sums"] or [(0, 0, 0)]
    rejected_ahead: dict[SourceFile, dict[int, str]] = defaultdict(dict)
    for *origin, offset, collected in found["rejected ahead"]:
        if file := _source_file(*origin):
            rejected_ahead[file][offset] = latest_time(
                datetime.fromtimestamp(collected, ZONE), settings.lake
            )
    rejected: dict[str, dict[str, int]] = defaultdict(dict)
    for day, reason, count in found["rejected"]:
        rejected[day][reason] = count
    return LakeAnswer(
        rows=_by_origin(found["days"]),
        quarantined=_by_origin(found["reasons"]),
        messages=messages,
        records=records,
        ahead=too_far,
        rejected_ahead=dict(rejected_ahead),
        rejected=dict(rejected),
        arrivals={day: tuple(figures) for day, *figures in found["arrivals"]},
        plain={
            (partition, name): (count, first, last)
            for partition, name, count, first, last in found["plain days"] + found["plain reasons"]
        },
    )


def _tables(ask: Ask, database: str) -> set[str]:
    # The stream makes the database when it first starts; on a cluster, whose executors start first,
    # `verify` asked before it.
    return (
        {row[1] for row in ask(f"SHOW TABLES IN `{database}`")}
        if (database,) in ask("SHOW DATABASES")
        else set()
    )


def _queries(ahead: int) -> dict[str, tuple[str, str]]:
    """Return name -> table and query; `{table}` stands for its rows, `{lines}` for the rejected
    lines.
    """
    sums = (
        "SELECT count(DISTINCT message_id), count(DISTINCT kafka_partition, kafka_offset), "  # nosec B608  # this file's names
        f"count_if(unix_timestamp(msg_time) - unix_timestamp(collected_at) > {ahead}) FROM "
        f"{{table}}"
    )
    rejected_ahead = (
        f"SELECT {_ORIGIN}, source_offset, unix_timestamp(collected_at) FROM {{lines}} WHERE "  # nosec B608  # this file's names
        "reason = 'time_ahead'"
    )
    return {
        "sums": (LAKE_TABLE, sums),
        "rejected ahead": (QUARANTINE_TABLE, rejected_ahead),
        "rejected": (QUARANTINE_TABLE, _REJECTED),
        "days": (LAKE_TABLE, _counted("day", "{table}")),
        "reasons": (QUARANTINE_TABLE, _counted("reason", "{lines}")),
        "arrivals": (LAKE_TABLE, _ARRIVALS),
        "plain days": (LAKE_TABLE, _plain("day", "{table}")),
        "plain reasons": (QUARANTINE_TABLE, _plain("reason", "{lines}")),
    }


def _counted(column: str, source: str) -> str:
    return f"SELECT {_ORIGIN}, {column}, count(*) FROM {source} GROUP BY {_ORIGIN}, {column}"  # nosec B608  # this file's names


def _plain(column: str, source: str) -> str:
    return (
        f"SELECT kafka_partition, {column}, count(*), min(kafka_offset), max(kafka_offset) "  # nosec B608  # this file's names
        f"FROM {source} WHERE source_file IS NULL GROUP BY kafka_partition, {column}"
    )


def _by_origin(rows: list[Row]) -> dict[tuple[SourceFile | None, str], int]:
    # Two directories may hold files of one name, where only the name is known.
    counts: Counter[tuple[SourceFile | None, str]] = Counter()
    for *origin, name, count in rows:
        counts[_source_file(*origin), name] += count
    return dict(counts)


def _source_file(host: str | None, file: str | None, source_id: str | None) -> SourceFile | None:
    return (host or "", Path(file).name, source_id or "") if file else None


def _rejected(database: str, with_lake: bool) -> str:
    """Return a query for the rejected lines, each once: the newest arrival counts, and a line that
    is in the lake was accepted in the end.
    """
    last = (
        "struct(collected_at, kafka_partition, kafka_offset, reason, source_host, source_file, "
        "source_id, source_offset)"
    )
    lines = (
        f"SELECT message_id, max({last}) AS last FROM `{database}`.`{QUARANTINE_TABLE}` GROUP "  # nosec B608  # this file's names
        "BY message_id"
    )
    accepted = (
        f" LEFT ANTI JOIN `{database}`.`{LAKE_TABLE}` USING (message_id)" if with_lake else ""
    )
    return f"(SELECT message_id, last.* FROM ({lines}){accepted})"  # nosec B608  # this file's names


def _connect_hive(hive: HiveSettings) -> Any:
    from pyhive.hive import Connection

    transport, _ = hive_transport(hive, hive.timeout_seconds)
    return Connection(username=hive.username, thrift_transport=transport)


def _hive_message(error: Exception) -> str:
    """Return the server's own message, which PyHive hides in the whole reply."""
    status = getattr(error.args[0], "status", None) if error.args else None
    return (
        status.errorMessage.splitlines()[0] if status and status.errorMessage else first_line(error)
    )
