"""The aggregates of each day, and every metric's rows out of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from datetime import date

from qimo_assets.verify.line import band
from qimo_assets.verify.metrics import (
    MAX_TEXTS,
    METRICS,
    MONTH_DAYS,
    OTHERS,
    TOP_ACCOUNTS,
    UNKNOWN,
    WEEK_DAYS,
    Row,
    Table,
)
from qimo_assets.verify.regions import Locate

# Place in the line of the texts that are counted by their value.
_TEXT_FIELDS = {"os": 5, "phone_type": 6, "network": 7, "message_type": 17}
_SEXES = {"男": "男", "女": "女"}


class Day:
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
        self.bands[band(message[18])] += 1


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


def tables_of(days: Mapping[str, Day]) -> dict[str, Table]:
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
            for text, users in _told_apart(texts).items():
                tables[name][day, text] = (users.messages, len(users.users))
        for name, messages in of_day.bands.items():
            tables["distance_band"][day, name] = (messages,)
        for sexes, messages in of_day.sexes.items():
            tables["sex_pair"][(day, *sexes)] = (messages,)
    tables["active_user"] = _active_users(
        {date.fromisoformat(day): of_day.senders.messages.keys() for day, of_day in days.items()}
    )
    return {name: dict(sorted(table.items())) for name, table in tables.items()}


def _told_apart(texts: Mapping[str, _Users]) -> Mapping[str, _Users]:
    """Return the texts with most messages, and all others under one name."""
    ranked = sorted(texts.items(), key=lambda item: (-item[1].messages, item[0]))
    found: defaultdict[str, _Users] = defaultdict(_Users)
    for place, (text, users) in enumerate(ranked):
        of_text = found[text if place < MAX_TEXTS else OTHERS]
        of_text.messages += users.messages
        of_text.users |= users.users
    return found


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
