"""Brings the report's files up to what MySQL holds: only months with a day that changed are
written, the index last.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from mysql.connector.abstracts import MySQLConnectionAbstract, MySQLCursorAbstract

from qimo_assets.contract import TIMEZONE, UNKNOWN
from qimo_assets.errors import QimoError
from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.report.accounts import Accounts
from qimo_assets.report.files import Site, read_json, write_json
from qimo_assets.report.tables import Published, Table, published, read_rows, snapshot

# Part of the format's digest: another number makes every month be written anew.
FORMAT = 1


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        written: Days that were written.
        removed: Days that MySQL no longer holds.
        days: Days that the report holds now.
        tables: Tables that the report shows.
        published_at: When the newest publication that it shows was, in Shanghai.
        instant: The newest instant of the lake in it.
    """

    written: list[str]
    removed: list[str]
    days: int
    tables: int
    published_at: datetime | None
    instant: str | None


class TooManyDays(QimoError):
    """More days changed than were to be written."""


def refresh(
    connection: MySQLConnectionAbstract,
    site: Site,
    *,
    masked: bool,
    metrics: Sequence[Metric] = METRICS,
    most_days: int | None = None,
) -> Refreshed:
    """Write what changed since the last refresh.

    Args:
        connection: A connection that may read the metric tables.
        site: The report's files.
        masked: Whether accounts are masked.
        metrics: The metrics to show; one whose table is not there yet is left out.
        most_days: Days that are written at most; None writes all that changed.

    Raises:
        TooManyDays: More days changed; nothing was written of them.
    """
    # With pyecharts, 0.15 s of a processor, which no other run needs.
    from qimo_assets.report.charts import charts

    accounts = Accounts(masked, site.account_key())
    site.install()
    write_json(site.charts, charts())
    if not site.state.exists():
        tell_state(site, None)
    snapshot(connection)
    try:
        with connection.cursor() as cursor:
            return _refresh(cursor, published(cursor, metrics), site, accounts, most_days)
    finally:
        connection.rollback()


def tell_state(site: Site, waiting: int | None) -> None:
    """Write down that the platform looked for new figures just now, so that a page without any
    tells a quiet night from a platform that stands still.

    Args:
        site: The report's files.
        waiting: Lines that are in the topic and not in the lake; None where nobody says.
    """
    write_json(site.state, {"checked_at": int(time.time()), "waiting": waiting})


def shown_state(site: Site) -> str | None:
    """Return the state of MySQL that the files show; None where there are none."""
    return (read_json(site.index) or {}).get("state")


def _refresh(
    cursor: MySQLCursorAbstract,
    now: Published,
    site: Site,
    accounts: Accounts,
    most_days: int | None,
) -> Refreshed:
    descriptions = [table.description() for table in now.tables]
    form = hashlib.sha256(
        json.dumps([FORMAT, accounts.version, descriptions]).encode()
    ).hexdigest()[:16]
    before = read_json(site.index) or {}
    known: dict[str, str] = before.get("days", {}) if before.get("format") == form else {}
    known = {day: digest for day, digest in known.items() if site.month(_month(day)).exists()}
    written = [day for day, digest in now.days.items() if known.get(day) != digest]
    removed = sorted(set(known) - set(now.days))
    if most_days is not None and len(written) + len(removed) > most_days:
        raise TooManyDays(f"{len(written)} days changed, and {len(removed)} went.")
    for month, days in groupby(sorted([*written, *removed]), key=_month):
        touched = set(days)
        others = [day for day in now.days if _month(day) == month and day not in touched]
        kept = (read_json(site.month(month)) or {}) if others else {}
        # A file that was lost or torn is made whole again.
        present = [*sorted(touched & set(now.days)), *(day for day in others if day not in kept)]
        content = {day: kept[day] for day in others if day in kept} | _read(
            cursor, now.tables, present, accounts
        )
        write_json(site.month(month), dict(sorted(content.items())))
    write_json(
        site.index,
        {
            "format": form,
            "published_at": now.at and _text(now.at),
            "published": {day: _text(at) for day, at in now.newest_days.items()},
            "instant": now.instant,
            "timezone": TIMEZONE,
            "unknown": UNKNOWN,
            "masked": accounts.masked,
            "newest": now.newest,
            "state": now.state,
            "days": now.days,
            "metrics": descriptions,
        },
    )
    return Refreshed(written, removed, len(now.days), len(now.tables), now.at, now.instant)


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def _month(day: str) -> str:
    return day[:7]


def _read(
    cursor: MySQLCursorAbstract, tables: Sequence[Table], days: Sequence[str], accounts: Accounts
) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = {day: {} for day in days}
    for table in tables if days else ():
        for day, rows in read_rows(cursor, table, days).items():
            content[day][table.metric.name] = [_with_account(row, table, accounts) for row in rows]
    return content


def _with_account(row: list[Any], table: Table, accounts: Accounts) -> list[Any]:
    place = table.account_place
    if place is None:
        return row
    account = row[place]
    return [*row[:place], accounts.shown(account), *row[place + 1 :], accounts.identity(account)]
