"""The independent recount behind `./qimo verify`: the source files against lake, quarantine, topic
and MySQL.

It reads the files in plain Python and shares nothing with the pipeline but the settings: the
contract's rules, the metrics' definitions and the reading of ip2region's database stand here a
second time, on purpose. It changes nothing.

What stands in no file is held against another source than the pipeline's views: of `data_quality`
the rows of each day are recounted from the files, while rejected lines by day, late lines and ages
come from queries of their own on the lake's tables, and `sent_again` only as the sum over all days,
which together with the lines has to be what the topic's offsets say arrived.
"""

from __future__ import annotations

import re
import struct
import zipfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from qimo_assets.clients import hive_transport, librdkafka_options, mysql_arguments
from qimo_assets.settings import HiveSettings, KafkaSettings, LakeSettings, MySQLSettings, Settings

ZONE = ZoneInfo("Asia/Shanghai")
UNKNOWN = "未知"
LAKE_TABLE = "chat_message_rt"
QUARANTINE_TABLE = "chat_quarantine_rt"
TOP_ACCOUNTS = 100
WEEK_DAYS, MONTH_DAYS = 7, 30
QUALITY = "data_quality"
MOST_DIFFERENCES = 20
_ORIGIN = "source_host, source_file, source_id"
IP2REGION_MEMBER = "ip2region/ip2region.xdb"

# Each metric's columns: those of its grain after the day, and its measures.
METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "message_total": ((), ("messages", "senders", "receivers", "pairs")),
    "message_hourly": (("hour",), ("messages", "senders", "receivers")),
    "sender_province": (("country", "province"), ("messages", "users")),
    "receiver_province": (("country", "province"), ("messages", "users")),
    "sender_top": (("rank",), ("account", "nickname", "messages")),
    "receiver_top": (("rank",), ("account", "nickname", "messages")),
    "sex_pair": (("sender_sex", "receiver_sex"), ("messages",)),
    "phone_type": (("phone_type",), ("messages", "senders")),
    "os": (("os",), ("messages", "senders")),
    "network": (("network",), ("messages", "senders")),
    "message_type": (("msg_type",), ("messages", "senders")),
    "distance_band": (("band",), ("messages",)),
    "active_user": ((), ("daily", "weekly", "monthly", "new", "returning_next_day")),
    "data_quality": (
        (),
        (
            *(
                "lines",
                "rows",
                "quarantined_too_long",
                "quarantined_not_utf8",
                "quarantined_field_count",
                "quarantined_bad_time",
            ),
            *(
                "quarantined_time_ahead",
                "quarantined_no_sender",
                "quarantined_no_receiver",
                "sent_again",
                "late",
                "age_p50",
                "age_p99",
            ),
        ),
    ),
}

# A line of the first servers has 20 fields; that of later ones would have more (docs/schema.md).
_FIELD_COUNTS = (20,)
_TIME = "%Y-%m-%d %H:%M:%S"
_TIME_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_LONGEST_IPV4 = 15
# Place in the line of the texts that are counted by their value.
_TEXT_FIELDS = {"os": 5, "phone_type": 6, "network": 7, "message_type": 17}
_DISTANCE_SHAPE = re.compile(r"\d+(\.\d+)?KM", re.ASCII)
_BANDS = ((1, "0-1"), (10, "1-10"), (100, "10-100"), (1000, "100-1000"))
_LAST_BAND = "1000+"
_SEXES = {"男": "男", "女": "女"}
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

# A link that the agent tails: the log file's first name, its inode, and when it was made.
_LINK = re.compile(r"(.+)~(\d+-\d+)", re.DOTALL)

Row = tuple[Any, ...]
# Host, first name, and inode and birth of a log file; the last is empty where the agent does not
# tell it.
SourceFile = tuple[str, str, str]
Table = dict[Row, Row]
Locate = Callable[[str], tuple[str | None, str | None]]
Ask = Callable[[str], list[Row]]
Answer = TypeVar("Answer")


class VerifyError(Exception):
    """Something that has to be read cannot be read; the message says what and what to do."""


@dataclass(frozen=True)
class Recount:
    """What the source files hold by the contract's rules.

    Attributes:
        lines: Terminated lines of all files.
        rows: Messages of each day.
        quarantined: Rejected lines of each reason.
        files: Lines of each file that there is.
        tables: Each metric's rows: (day, *grain) to measures; those of `data_quality` stand in no
            file and are left to `compare`.
    """

    lines: int
    rows: dict[str, int]
    quarantined: dict[str, int]
    files: dict[SourceFile, int]
    tables: dict[str, Table]


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

    def files(self) -> dict[SourceFile, int]:
        """Return the rows of lake and quarantine of each known file."""
        counts: Counter[SourceFile] = Counter()
        for (file, _), count in (*self.rows.items(), *self.quarantined.items()):
            if file is not None:
                counts[file] += count
        return dict(counts)


@dataclass(frozen=True)
class TableResult:
    """One published table against the recount."""

    ok: bool
    rows: int
    differences: list[str]


@dataclass(frozen=True)
class Verification:
    """The answer of `./qimo verify`.

    Attributes:
        ok: Whether everything agrees.
        lines: Lines in the source files.
        rows: Rows in the lake.
        quarantined: Rows in quarantine of each reason.
        sent_again: Records of the topic that were a line's second or later arrival.
        metrics: Each published table against the recount.
        gone: Rows of lake and quarantine of each file that is not here to be counted: rotated and
            deleted, or on another host.
        days_left_out: Days with rows of such a file; their metrics cannot be recounted.
        differences: What does not agree between files, topic, lake and quarantine.
    """

    ok: bool
    lines: int
    rows: int
    quarantined: dict[str, int]
    sent_again: int
    metrics: dict[str, TableResult]
    gone: dict[str, int]
    days_left_out: list[str]
    differences: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as it is printed in JSON."""
        return {
            "ok": self.ok,
            "lines": self.lines,
            "rows": self.rows,
            "quarantined": self.quarantined,
            "sent_again": self.sent_again,
            "metrics": {
                name: {"ok": result.ok, "rows": result.rows, "differences": result.differences}
                for name, result in self.metrics.items()
            },
            "gone": self.gone,
            "days_left_out": self.days_left_out,
            "differences": self.differences,
        }


def verify(settings: Settings) -> Verification:
    """Recount the source files and compare them with topic, lake, quarantine and the published
    metrics.

    Args:
        settings: Where everything is.

    Returns:
        The answer, with every difference named.

    Raises:
        VerifyError: A system cannot be read.
    """
    lake = read_lake(settings)
    arrivals = count_arrivals(settings.kafka)
    counted = recount(settings, datetime.now(ZONE), lake.rejected_ahead)
    if settings.mysql.mask_accounts:
        counted = replace(
            counted, tables={name: _masked(name, table) for name, table in counted.tables.items()}
        )
    return compare(counted, lake, arrivals, read_metrics(settings.mysql))


def compare(
    counted: Recount, lake: LakeAnswer, arrivals: int, published: Mapping[str, Table | None]
) -> Verification:
    """Compare a recount with what the systems answered.

    Args:
        counted: The recount of the source files.
        lake: What lake and quarantine say.
        arrivals: Records that ever arrived in the topic.
        published: Rows of each metric's table; None where there is no such table.

    Returns:
        The answer, with every difference named.
    """
    rows, quarantined = sum(lake.rows.values()), sum(lake.quarantined.values())
    sent_again = arrivals - rows - quarantined
    # Without inode and birth a file that is gone cannot be told from one that was never there.
    gone = {
        file: count for file, count in lake.files().items() if file[2] and file not in counted.files
    }
    days = {day for file, day in lake.rows if file in gone}
    differences = _lake_differences(counted, lake, gone, rows, quarantined, sent_again)
    expected = {**counted.tables, QUALITY: _quality(counted, lake, published[QUALITY] or {})}
    metrics = {
        name: _table_result(
            name,
            _without(days, name, expected[name]),
            (found := published[name]) and _without(days, name, found),
        )
        for name in METRICS
    }
    metrics[QUALITY] = _with_arrivals(metrics[QUALITY], published[QUALITY] or {}, arrivals)
    ok = not differences and all(result.ok for result in metrics.values())
    reasons = _totals(lake.quarantined, {})
    return Verification(
        ok,
        counted.lines,
        rows,
        reasons,
        sent_again,
        metrics,
        {_file_text(file): gone[file] for file in sorted(gone)},
        sorted(days),
        differences,
    )


def _without(days: set[str], name: str, table: Table) -> Table:
    """Leave out the days of messages that no file tells of; of the active users every day from the
    one before the first of them on.
    """
    if name == "active_user" and days:
        first = date.fromisoformat(min(days))
        before = first - timedelta(days=1) if first > date.min else first
        return {key: measures for key, measures in table.items() if key[0] < before.isoformat()}
    return {key: measures for key, measures in table.items() if key[0] not in days}


def _totals(
    counts: Mapping[tuple[SourceFile | None, str], int], left_out: Mapping[SourceFile, int]
) -> dict[str, int]:
    """Add up the counts of each day or reason over the files that are not left out."""
    totals: Counter[str] = Counter()
    for (file, name), count in counts.items():
        if file not in left_out:
            totals[name] += count
    return dict(totals)


def _file_text(file: SourceFile) -> str:
    return ":".join(part for part in file if part)


def render(verification: Verification) -> str:
    """Return the answer as a table for people."""
    reasons = ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(verification.quarantined.items())
    )
    lines = [
        f"{'lines in the files':<24}{verification.lines:>14,}",
        f"{'rows in the lake':<24}{verification.rows:>14,}",
        f"{'lines in quarantine':<24}{sum(verification.quarantined.values()):>14,}"
        + (f"   ({reasons})" if reasons else ""),
        f"{'lines sent again':<24}{verification.sent_again:>14,}",
        "",
        f"{'metric':<24}{'rows':>14}   agrees",
        *(
            f"{name:<24}{result.rows:>14,}   {'yes' if result.ok else 'NO'}"
            for name, result in verification.metrics.items()
        ),
        "",
    ]
    found = verification.differences + [
        text for result in verification.metrics.values() for text in result.differences
    ]
    lines += [f"  {text}" for text in found]
    if verification.gone:
        lines.append(
            "Not counted, for their files are not here: "
            f"{sum(verification.gone.values()):,} lines of {len(verification.gone)} files"
        )
        lines += _shortened(
            "files", (f"  {file}: {count:,}" for file, count in verification.gone.items())
        )
        lines.append(
            "Metrics not compared, for these days have such lines: "
            f"{', '.join(verification.days_left_out) or 'none'}"
        )
    lines.append(
        "Everything agrees."
        if verification.ok
        else "The figures differ from the files, as listed above."
    )
    return "\n".join(lines)


# --- the recount of the files


def recount(
    settings: Settings,
    now: datetime,
    rejected_ahead: Mapping[SourceFile, Mapping[int, str]] | None = None,
) -> Recount:
    """Recount the source files by the contract's rules, line by line.

    When a line was collected stands in no file. A line counts as too far ahead when it is so at
    `now`, or, for the lines that the pipeline rejected for it, when it was so at the time that the
    pipeline collected it.

    Args:
        settings: Where the files are and what the limits are.
        now: The time that the lines' times are held against.
        rejected_ahead: For each file the byte offsets of lines rejected as `time_ahead`, with their
            own latest time.

    Returns:
        Lines, rows, rejected lines and every metric.

    Raises:
        VerifyError: The files or the address database cannot be read.
    """
    latest = _latest(now, settings.lake)
    too_long = settings.lake.max_line_bytes
    locate = _open_ip2region(settings.lake.ip2region_jar)
    days: dict[str, _Day] = defaultdict(lambda: _Day(locate))
    quarantined: Counter[str] = Counter()
    files: dict[SourceFile, int] = {}
    names: dict[str, str] = {}
    for file, path in _source_files(settings).items():
        own_latest = (rejected_ahead or {}).get(file, {})
        count = 0
        for offset, line in _lines(path, too_long):
            count += 1
            message = _read(line, too_long, own_latest.get(offset, latest))
            if isinstance(message, str):
                quarantined[message] += 1
                continue
            # One object for each account, however many sets it is in.
            sender, receiver = (
                names.setdefault(message[2], message[2]),
                names.setdefault(message[11], message[11]),
            )
            days[message[0][:10]].add(message, sender, receiver)
        files[file] = count
    return Recount(
        lines=sum(files.values()),
        rows={day: aggregate.messages for day, aggregate in sorted(days.items())},
        quarantined=dict(quarantined),
        files=files,
        tables=_tables(days),
    )


def _latest(collected: datetime, lake: LakeSettings) -> str:
    """Return the last message time that is not too far ahead of a time of collection; as text it
    orders as the times do.
    """
    return (collected.astimezone(ZONE) + timedelta(minutes=lake.max_ahead_minutes)).strftime(_TIME)


def _source_files(settings: Settings) -> dict[SourceFile, Path]:
    """Return what to read each log file by: the link where it has one, which stays when the file is
    renamed or deleted, else its path.
    """
    source = settings.source
    found: dict[int, tuple[SourceFile, Path]] = {}
    try:
        pattern = re.compile(source.file_pattern)
        for path in source.log_dir.iterdir():
            if path.is_file() and pattern.fullmatch(path.name):
                found[path.stat().st_ino] = (source.host, path.name, ""), path
        for path in source.link_dir.iterdir() if source.link_dir.is_dir() else ():
            if link := _LINK.fullmatch(path.name):
                found[path.stat().st_ino] = (source.host, link[1], link[2]), path
        return dict(sorted(found.values()))
    except (OSError, re.error) as error:
        raise VerifyError(
            f"The log files in {source.log_dir} cannot be listed: {error}. Look at the "
            "settings of source."
        ) from error


def _lines(path: Path, too_long: int) -> Iterator[tuple[int, bytes]]:
    """Yield each terminated line with its byte offset, without its line end, and of a line that is
    too long only its start.
    """
    offset, limit = 0, too_long + 2
    try:
        with path.open("rb") as file:
            while piece := file.readline(limit):
                start, last = offset, piece
                offset += len(piece)
                while not last.endswith(b"\n"):
                    if len(last) < limit:
                        return
                    last = file.readline(limit)
                    offset += len(last)
                yield start, piece.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise VerifyError(
            f"{path} cannot be read: {error}. Give this user the right to read it."
        ) from error


def _read(line: bytes, too_long: int, latest: str) -> list[str] | str:
    """Return the line's fields, or the reason why it is none of the lake's."""
    if len(line) > too_long:
        return "too_long"
    try:
        fields = line.decode("utf-8").split("\x01")
    except UnicodeDecodeError:
        return "not_utf8"
    if len(fields) not in _FIELD_COUNTS:
        return "field_count"
    if len(fields[0]) != 19 or not _is_time(fields[0]):
        return "bad_time"
    if fields[0] > latest:
        return "time_ahead"
    if not fields[2]:
        return "no_sender"
    if not fields[11]:
        return "no_receiver"
    return fields


@lru_cache(maxsize=65_536)
def _is_time(text: str) -> bool:
    if not _TIME_SHAPE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


class _Day:
    """The aggregates of one day; what is not asked of them is not kept."""

    def __init__(self, locate: Locate) -> None:
        self.messages = 0
        self.pairs: set[tuple[str, str]] = set()
        self.hours: dict[str, _Parties] = defaultdict(_Parties)
        self.senders = _Ranking()
        self.receivers = _Ranking()
        self.by_text: dict[str, dict[str, _Users]] = {
            name: defaultdict(_Users) for name in _TEXT_FIELDS
        }
        self.bands: Counter[str] = Counter()
        self.sexes: Counter[tuple[str, str]] = Counter()
        self.sender_places: dict[Row, _Users] = defaultdict(_Users)
        self.receiver_places: dict[Row, _Users] = defaultdict(_Users)
        self._locate = locate

    def add(self, message: list[str], sender: str, receiver: str) -> None:
        """Count one message in."""
        self.messages += 1
        self.pairs.add((sender, receiver))
        self.senders.add(sender, message[0], message[1])
        self.receivers.add(receiver, message[0], message[9])
        self.hours[message[0][11:13]].add(sender, receiver)
        self.sexes[_SEXES.get(message[3], UNKNOWN), _SEXES.get(message[16], UNKNOWN)] += 1
        self.sender_places[self._locate(message[4])].add(sender)
        self.receiver_places[self._locate(message[10])].add(receiver)
        for name, place in _TEXT_FIELDS.items():
            self.by_text[name][message[place] or UNKNOWN].add(sender)
        self.bands[_band(message[18])] += 1


class _Ranking:
    """Messages of each account and its latest nickname."""

    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.nicknames: dict[str, tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self.messages)

    def add(self, account: str, time: str, nickname: str) -> None:
        self.messages[account] += 1
        if nickname and (time, nickname) > self.nicknames.get(account, ("", "")):
            self.nicknames[account] = time, nickname

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield rank, and account, nickname and messages, by messages descending, then
        by account.
        """
        ranked = sorted(self.messages.items(), key=lambda item: (-item[1], item[0]))[:TOP_ACCOUNTS]
        for rank, (account, messages) in enumerate(ranked, 1):
            yield rank, (account, self.nicknames.get(account, ("", UNKNOWN))[1], messages)


class _Users:
    """Messages and their distinct users."""

    __slots__ = ("messages", "users")

    def __init__(self) -> None:
        self.messages = 0
        self.users: set[str] = set()

    def add(self, user: str) -> None:
        self.messages += 1
        self.users.add(user)


class _Parties:
    """Messages, their distinct senders and their distinct receivers."""

    __slots__ = ("messages", "receivers", "senders")

    def __init__(self) -> None:
        self.messages = 0
        self.senders: set[str] = set()
        self.receivers: set[str] = set()

    def add(self, sender: str, receiver: str) -> None:
        self.messages += 1
        self.senders.add(sender)
        self.receivers.add(receiver)


def _band(distance: str) -> str:
    """Return the band of a distance as the line gives it."""
    if not _DISTANCE_SHAPE.fullmatch(distance):
        return UNKNOWN
    kilometres = float(distance.removesuffix("KM"))
    return next(
        (name for limit, name in _BANDS if kilometres < limit),
        UNKNOWN if kilometres == float("inf") else _LAST_BAND,
    )


def _tables(days: Mapping[str, _Day]) -> dict[str, Table]:
    """Return each metric's rows of all days."""
    tables: dict[str, Table] = {name: {} for name in METRICS}
    for day, of_day in sorted(days.items()):
        tables["message_total"][day,] = (
            of_day.messages,
            len(of_day.senders),
            len(of_day.receivers),
            len(of_day.pairs),
        )
        for hour, parties in of_day.hours.items():
            tables["message_hourly"][day, int(hour)] = (
                parties.messages,
                len(parties.senders),
                len(parties.receivers),
            )
        for name, places in (
            ("sender_province", of_day.sender_places),
            ("receiver_province", of_day.receiver_places),
        ):
            for place, users in places.items():
                tables[name][(day, *(part or UNKNOWN for part in place))] = (
                    users.messages,
                    len(users.users),
                )
        for name, ranking in (("sender_top", of_day.senders), ("receiver_top", of_day.receivers)):
            for rank, row in ranking.rows():
                tables[name][day, rank] = row
        for name, texts in of_day.by_text.items():
            for text, users in texts.items():
                tables[name][day, text] = (users.messages, len(users.users))
        for band, messages in of_day.bands.items():
            tables["distance_band"][day, band] = (messages,)
        for sexes, messages in of_day.sexes.items():
            tables["sex_pair"][(day, *sexes)] = (messages,)
    tables["active_user"] = _active_users(
        {date.fromisoformat(day): of_day.senders.messages.keys() for day, of_day in days.items()}
    )
    return {name: dict(sorted(table.items())) for name, table in tables.items()}


def _active_users(senders: Mapping[date, Set[str]]) -> Table:
    """Return who was active, day by day: for each account only the last day on which it sent is
    kept.
    """
    table: Table = {}
    last: dict[str, int] = {}
    for day, of_day in sorted(senders.items()):
        now = day.toordinal()
        new = sum(account not in last for account in of_day)
        last.update(dict.fromkeys(of_day, now))
        weekly, monthly = (
            sum(sent > now - days for sent in last.values()) for days in (WEEK_DAYS, MONTH_DAYS)
        )
        # The last day of the calendar has no next one, and the first year is a year.
        next_day = senders.get(date.fromordinal(now + 1), set()) if day < date.max else set()
        table[day.isoformat(),] = (len(of_day), weekly, monthly, new, len(of_day & next_day))
    return table


def _masked(name: str, table: Table) -> Table:
    """Return a table with its accounts as they are published under `mysql.mask_accounts`."""
    measures = METRICS[name][1]
    if "account" not in measures:
        return table
    at = measures.index("account")
    return {key: (*row[:at], _mask(row[at]), *row[at + 1 :]) for key, row in table.items()}


def _mask(account: str) -> str:
    return f"{account[:3]}****{account[-4:]}" if len(account) > 7 else f"{account[:1]}****"


def _open_ip2region(jar: Path) -> Locate:
    """Return a function from an address to its country and province, out of the database in the
    jar.
    """
    try:
        with zipfile.ZipFile(jar) as archive:
            data = archive.read(IP2REGION_MEMBER)
        start, end = struct.unpack_from("<II", data, 8)
    except (OSError, KeyError, zipfile.BadZipFile, struct.error) as error:
        raise VerifyError(
            f"The address database {IP2REGION_MEMBER} cannot be read from {jar}: {error}. "
            "Set lake.ip2region_jar to net.dreamlu:mica-ip2region."
        ) from error
    segment = struct.Struct("<IIHI")
    segments = range(start, end + 1, segment.size)

    def first_address(at: int) -> int:
        return segment.unpack_from(data, at)[0]

    @lru_cache(maxsize=262_144)
    def locate(address: str) -> tuple[str | None, str | None]:
        number = _ipv4(address)
        if number is None:
            return None, None
        at = segments[bisect_right(segments, number, key=first_address) - 1]
        _, _, length, pointer = segment.unpack_from(data, at)
        country, _, province, _, _ = data[pointer : pointer + length].decode("utf-8").split("|")
        if country == "0":
            return None, None
        return country, None if province == "0" else province

    # Longer texts are no IPv4 address and have no place in the cache.
    return lambda address: locate(address) if len(address) <= _LONGEST_IPV4 else (None, None)


def _ipv4(address: str) -> int | None:
    try:
        return int(IPv4Address(address))
    except AddressValueError:
        return None


# --- the comparison


def _lake_differences(
    counted: Recount,
    lake: LakeAnswer,
    gone: Mapping[SourceFile, int],
    rows: int,
    quarantined: int,
    sent_again: int,
) -> list[str]:
    differences = []
    not_counted = sum(gone.values())
    if counted.lines + not_counted != rows + quarantined:
        elsewhere = f" and {not_counted} of files that are gone" if gone else ""
        differences.append(
            f"lines: {counted.lines} in the files{elsewhere}, {rows + quarantined} in lake "
            f"({rows}) and quarantine ({quarantined})"
        )
    if lake.messages != rows:
        differences.append(f"lake: {rows} rows, but {lake.messages} distinct message_id")
    if lake.records != rows:
        differences.append(
            f"lake: {rows} rows, but {lake.records} distinct (kafka_partition, kafka_offset)"
        )
    if lake.ahead:
        differences.append(
            f"lake: {lake.ahead} rows were too far ahead of their collection, and belong "
            "in quarantine"
        )
    if sent_again < 0:
        differences.append(
            f"topic: {rows + quarantined + sent_again} records arrived, fewer than the "
            f"{rows + quarantined} rows and rejected lines"
        )
    differences += _count_differences("lake", counted.rows, _totals(lake.rows, gone))
    differences += _count_differences(
        "quarantine", counted.quarantined, _totals(lake.quarantined, gone)
    )
    if files := lake.files():
        by_file = {_file_text(file): count for file, count in counted.files.items()}
        differences += _count_differences(
            "file",
            by_file,
            {_file_text(file): count for file, count in files.items() if file not in gone},
        )
    return differences


def _quality(counted: Recount, lake: LakeAnswer, published: Table) -> Table:
    """Return `data_quality` as it should be; how often lines of a day were sent again stands
    nowhere else, so each day's figure is taken over.
    """
    reasons = [
        name.removeprefix("quarantined_")
        for name in METRICS[QUALITY][1]
        if name.startswith("quarantined_")
    ]
    sent_again = METRICS[QUALITY][1].index("sent_again")
    table: Table = {}
    for day in sorted({*counted.rows, *lake.rejected}):
        rows, of_day = counted.rows.get(day, 0), lake.rejected.get(day, {})
        rejected = [of_day.get(reason, 0) for reason in reasons]
        again = published[day,][sent_again] if (day,) in published else 0
        table[day,] = (
            rows + sum(rejected),
            rows,
            *rejected,
            again,
            *lake.arrivals.get(day, (0, None, None)),
        )
    return table


def _with_arrivals(result: TableResult, published: Table, arrivals: int) -> TableResult:
    """Hold the lines that are said to have arrived, again or for the first time, against the
    topic's offsets.
    """
    measures = METRICS[QUALITY][1]
    lines, again = (
        sum(row[measures.index(name)] for row in published.values())
        for name in ("lines", "sent_again")
    )
    if lines + again == arrivals:
        return result
    difference = (
        f"{QUALITY}: lines {lines} and sent_again {again} make {lines + again} arrivals, the "
        f"topic has {arrivals}"
    )
    return replace(result, ok=False, differences=[*result.differences, difference])


def _count_differences(
    name: str, expected: Mapping[str, int], found: Mapping[str, int]
) -> list[str]:
    """Name what differs between two tables of one count each."""
    pairs = (
        (key, expected.get(key, 0), found.get(key, 0)) for key in dict.fromkeys([*expected, *found])
    )
    return _shortened(
        name,
        (
            f"{name} {key}: expected {want}, found {have}"
            for key, want, have in pairs
            if want != have
        ),
    )


def _table_result(name: str, expected: Table, found: Table | None) -> TableResult:
    """Compare a published table with the recount, row by row."""
    if found is None:
        # Nothing to show needs no table: before the first line there is nothing to publish.
        return TableResult(
            not expected,
            0,
            [f"{name}: there is no such table; expected {len(expected)} rows"] if expected else [],
        )
    differences = _shortened(name, _row_differences(name, expected, found))
    return TableResult(not differences, len(found), differences)


def _row_differences(name: str, expected: Table, found: Table) -> Iterator[str]:
    measures = METRICS[name][1]
    for key in dict.fromkeys([*expected, *found]):
        want, have = expected.get(key), found.get(key)
        if want == have:
            continue
        where = " ".join([name, *map(str, key)])
        if want is None:
            yield f"{where}: expected no row, found {_named(measures, have)}"
        elif have is None:
            yield f"{where}: expected {_named(measures, want)}, found no row"
        else:
            unequal = [
                position for position in range(len(measures)) if want[position] != have[position]
            ]
            yield f"{where}: " + "; ".join(
                f"{measures[at]} expected {want[at]}, found {have[at]}" for at in unequal
            )


def _named(names: tuple[str, ...], values: Row | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values or (), strict=True))


def _shortened(name: str, differences: Iterable[str]) -> list[str]:
    """Keep the first differences and count the others."""
    shown, more = [], 0
    for difference in differences:
        if len(shown) < MOST_DIFFERENCES:
            shown.append(difference)
        else:
            more += 1
    return [*shown, f"{name}: {more} more differences"] if more else shown


# --- what the systems say


def read_lake(settings: Settings) -> LakeAnswer:
    """Read the lake and the quarantine through HiveServer2.

    Raises:
        VerifyError: HiveServer2 does not answer.
    """
    from pyhive.exc import Error
    from thrift.Thrift import TException

    hive = settings.hive
    try:
        with closing(_connect_hive(hive)) as connection:

            def ask(query: str) -> list[Row]:
                with closing(connection.cursor()) as cursor:
                    cursor.execute(query)
                    return cursor.fetchall()

            return lake_answer(ask, settings)
    except (Error, TException, OSError) as error:
        raise VerifyError(
            f"HiveServer2 at {hive.host}:{hive.port} cannot be read: "
            f"{_hive_message(error)}. See ./qimo status; ./qimo up starts the embedded stack."
        ) from error


def lake_answer(ask: Ask, settings: Settings) -> LakeAnswer:
    """Put the lake's answer together out of queries.

    Args:
        ask: Runs a query and returns its rows.
        settings: The database's name and the limits.

    Returns:
        What lake and quarantine say; a table that is not there yet has no rows.
    """
    database = settings.lake.database
    # The stream makes the database when it first starts; on a cluster, whose executors start first,
    # `verify` asked before it.
    present = (
        {row[1] for row in ask(f"SHOW TABLES IN `{database}`")}
        if (database,) in ask("SHOW DATABASES")
        else set()
    )

    def rows_of(table: str, query: str) -> list[Row]:
        if table not in present:
            return []
        return ask(
            query.format(
                table=_rejected(database, LAKE_TABLE in present)
                if table == QUARANTINE_TABLE
                else f"`{database}`.`{table}`"
            )
        )

    ahead = settings.lake.max_ahead_minutes * 60
    [(messages, records, too_far)] = rows_of(
        LAKE_TABLE,
        "SELECT count(DISTINCT message_id), count(DISTINCT kafka_partition, kafka_offset), "  # nosec B608  # this file's names
        f"count_if(unix_timestamp(msg_time) - unix_timestamp(collected_at) > {ahead}) FROM "
        f"{{table}}",
    ) or [(0, 0, 0)]

    def counts_of(table: str, column: str) -> dict[tuple[SourceFile | None, str], int]:
        query = f"SELECT {_ORIGIN}, {column}, count(*) FROM {{table}} GROUP BY {_ORIGIN}, {column}"  # nosec B608  # this file's names
        # Two directories may hold files of one name, where only the name is known.
        counts: Counter[tuple[SourceFile | None, str]] = Counter()
        for *origin, name, count in rows_of(table, query):
            counts[_source_file(*origin), name] += count
        return dict(counts)

    rejected_ahead: dict[SourceFile, dict[int, str]] = defaultdict(dict)
    query = (
        f"SELECT {_ORIGIN}, source_offset, unix_timestamp(collected_at) FROM {{table}} WHERE "
        "reason = 'time_ahead'"
    )  # nosec B608  # this file's names
    for *origin, offset, collected in rows_of(QUARANTINE_TABLE, query):
        if file := _source_file(*origin):
            rejected_ahead[file][offset] = _latest(
                datetime.fromtimestamp(collected, ZONE), settings.lake
            )
    rejected: dict[str, dict[str, int]] = defaultdict(dict)
    if QUARANTINE_TABLE in present:
        query = (
            "SELECT day, reason, count(DISTINCT message_id) FROM "
            f"`{database}`.`{QUARANTINE_TABLE}` GROUP BY reason, day"
        )  # nosec B608  # this file's names
        for day, reason, count in ask(query):
            rejected[day][reason] = count
    return LakeAnswer(
        rows=counts_of(LAKE_TABLE, "day"),
        quarantined=counts_of(QUARANTINE_TABLE, "reason"),
        messages=messages,
        records=records,
        ahead=too_far,
        rejected_ahead=dict(rejected_ahead),
        rejected=dict(rejected),
        arrivals={day: tuple(figures) for day, *figures in rows_of(LAKE_TABLE, _ARRIVALS)},
    )


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
        f"SELECT message_id, max({last}) AS last FROM `{database}`.`{QUARANTINE_TABLE}` GROUP "
        "BY message_id"
    )  # nosec B608  # this file's names
    accepted = (
        f" LEFT ANTI JOIN `{database}`.`{LAKE_TABLE}` USING (message_id)" if with_lake else ""
    )
    return f"(SELECT message_id, last.* FROM ({lines}){accepted})"  # nosec B608  # this file's names


def _connect_hive(hive: HiveSettings) -> Any:
    from pyhive.hive import Connection

    transport, _ = hive_transport(hive, hive.timeout_seconds)
    return Connection(username=hive.username, thrift_transport=transport)


def count_arrivals(kafka: KafkaSettings) -> int:
    """Return how many records ever arrived in the topic: the sum of its partitions' end offsets.

    Raises:
        VerifyError: The broker does not answer, or there is no such topic.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {**librdkafka_options(kafka), "group.id": "qimo-verify", "enable.auto.commit": False}
    )
    try:
        topic = consumer.list_topics(kafka.topic, timeout=kafka.timeout_seconds).topics[kafka.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        ends = [
            consumer.get_watermark_offsets(
                TopicPartition(kafka.topic, partition), timeout=kafka.timeout_seconds
            )[1]
            for partition in topic.partitions
        ]
        return sum(ends)
    except KafkaException as error:
        raise VerifyError(
            f"The topic {kafka.topic} at {kafka.bootstrap} cannot be read: "
            f"{error.args[0].str()}. See ./qimo status; ./qimo up starts the embedded stack."
        ) from error
    finally:
        consumer.close()


def read_metrics(mysql: MySQLSettings) -> dict[str, Table | None]:
    """Read every metric's table from MySQL; None where there is no such table.

    Raises:
        VerifyError: MySQL does not answer.
    """
    return _with_mysql(mysql, metric_tables)


def read_progress(mysql: MySQLSettings) -> tuple[int, str]:
    """Return the messages that MySQL shows, and what changes with every publication; cheap enough
    to be asked all the time.

    Raises:
        VerifyError: MySQL does not answer.
    """
    return _with_mysql(mysql, progress)


def progress(ask: Ask) -> tuple[int, str]:
    """Put `read_progress` together out of queries."""
    present = {name for (name,) in ask("SHOW TABLES")}
    [(messages,)] = (
        ask("SELECT coalesce(sum(messages), 0) FROM message_total")
        if "message_total" in present
        else [(0,)]
    )
    [state] = (
        ask("SELECT count(*), max(published_at) FROM publication")
        if "publication" in present
        else [()]
    )
    return int(messages), " ".join(map(str, state))


def _with_mysql(mysql: MySQLSettings, read: Callable[[Ask], Answer]) -> Answer:
    from mysql.connector import Error, connect

    try:
        connection = connect(**mysql_arguments(mysql), read_timeout=mysql.timeout_seconds)
        with closing(connection), closing(connection.cursor()) as cursor:

            def ask(query: str) -> list[Row]:
                cursor.execute(query)
                return cursor.fetchall()  # pyright: ignore[reportReturnType]  # plain cursors give tuples

            return read(ask)
    except Error as error:
        raise VerifyError(
            f"MySQL at {mysql.host}:{mysql.port} ({mysql.database}) cannot be read: "
            f"{_first_line(error)}. "
            "See ./qimo status; ./qimo up starts the embedded stack."
        ) from error


def metric_tables(ask: Ask) -> dict[str, Table | None]:
    """Put the published tables together out of queries.

    Args:
        ask: Runs a query and returns its rows.

    Returns:
        Rows of each metric's table: (day, *grain) to measures; None where there is no such table.
    """
    present = {name for (name,) in ask("SHOW TABLES")}
    return {name: _metric_table(ask, name) if name in present else None for name in METRICS}


def _metric_table(ask: Ask, name: str) -> Table:
    grain, measures = METRICS[name]
    columns = ", ".join(f"`{column}`" for column in ("day", *grain, *measures))
    width = 1 + len(grain)
    return {
        (_day_text(row[0]), *row[1:width]): tuple(row[width:])
        for row in ask(f"SELECT {columns} FROM `{name}`")
    }  # nosec B608  # this file's names


def _day_text(day: date | str) -> str:
    return day if isinstance(day, str) else day.isoformat()


def _hive_message(error: Exception) -> str:
    """Return the server's own message, which PyHive hides in the whole reply."""
    status = getattr(error.args[0], "status", None) if error.args else None
    return (
        status.errorMessage.splitlines()[0]
        if status and status.errorMessage
        else _first_line(error)
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
