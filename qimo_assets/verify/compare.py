"""The comparison of the recount with what the systems say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from datetime import date, timedelta

from qimo_assets.verify.lake import LakeAnswer
from qimo_assets.verify.metrics import METRICS, QUALITY, Row, Table
from qimo_assets.verify.recount import Recount, SourceFile
from qimo_assets.verify.report import TableResult, Verification, shortened


def compare(
    counted: Recount,
    lake: LakeAnswer,
    arrivals: int,
    published: Mapping[str, Table | None],
    deleted: Set[tuple[int, str]] = frozenset(),
) -> Verification:
    """Compare a recount with what the systems answered.

    Args:
        counted: The recount of the source files.
        lake: What lake and quarantine say.
        arrivals: Records that ever arrived in the topic.
        published: Rows of each metric's table; None where there is no such table.
        deleted: Partition with day or reason: plain lines that the topic has no more.

    Returns:
        The answer, with every difference named.
    """
    rows, quarantined = sum(lake.rows.values()), sum(lake.quarantined.values())
    sent_again = arrivals - rows - quarantined
    # Without inode and birth a file that is gone cannot be told from one that was never there.
    gone = {
        file: count for file, count in lake.files().items() if file[2] and file not in counted.files
    }
    plain_gone = {of: lake.plain[of][0] for of in deleted}
    days = {day for file, day in lake.rows if file in gone} | {
        name for _, name in deleted if name[:1].isdigit()
    }
    differences = _lake_differences(counted, lake, gone, plain_gone, rows, quarantined, sent_again)
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
    reasons = totals(lake.quarantined, {})
    return Verification(
        ok,
        counted.lines,
        rows,
        reasons,
        sent_again,
        metrics,
        counted.plain,
        {file_text(file): gone[file] for file in sorted(gone)}
        | {
            f"topic, partition {partition}, {name}": count
            for (partition, name), count in sorted(plain_gone.items())
        },
        sorted(days),
        differences,
    )


def _without(days: set[str], name: str, table: Table) -> Table:
    """Leave out the days of messages that no file tells of; of the active users every day from the
    one before the first of them on.
    """
    if name == "active_user" and days:
        first = date.fromisoformat(min(days))
        before = first - timedelta(days=1)
        return {key: measures for key, measures in table.items() if key[0] < before.isoformat()}
    return {key: measures for key, measures in table.items() if key[0] not in days}


def totals(
    counts: Mapping[tuple[SourceFile | None, str], int], left_out: Mapping[SourceFile, int]
) -> dict[str, int]:
    """Add up the counts of each day or reason over the files that are not left out."""
    totals: Counter[str] = Counter()
    for (file, name), count in counts.items():
        if file not in left_out:
            totals[name] += count
    return dict(totals)


def file_text(file: SourceFile) -> str:
    """Return a file as the answer names it."""
    return ":".join(part for part in file if part)


def _lake_differences(
    counted: Recount,
    lake: LakeAnswer,
    gone: Mapping[SourceFile, int],
    plain_gone: Mapping[tuple[int, str], int],
    rows: int,
    quarantined: int,
    sent_again: int,
) -> list[str]:
    differences = []
    not_counted = sum(gone.values()) + sum(plain_gone.values())
    if counted.lines + counted.plain + not_counted != rows + quarantined:
        elsewhere = f", {counted.plain} of other producers" if counted.plain else ""
        elsewhere += f" and {not_counted} that are gone" if not_counted else ""
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
    for name, found, expected in (
        ("lake", lake.rows, counted.rows),
        ("quarantine", lake.quarantined, counted.quarantined),
    ):
        left = Counter(totals(found, gone))
        for (_, of), count in plain_gone.items():
            left[of] -= count if of in left else 0
        differences += _count_differences(name, expected, left)
    if files := lake.files():
        by_file = {file_text(file): count for file, count in counted.files.items()}
        differences += _count_differences(
            "file",
            by_file,
            {file_text(file): count for file, count in files.items() if file not in gone},
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
    return shortened(
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
    differences = shortened(name, _row_differences(name, expected, found))
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
