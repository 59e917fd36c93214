"""The lines: a time, two people and a tail; and what goes wrong with some of them."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from itertools import accumulate
from itertools import repeat as endless
from random import Random

from qimo_assets.contract import FIELDS, MIN_FIELDS, SEPARATOR, Reason
from qimo_assets.simulator.people import POSITION, everybody
from qimo_assets.simulator.tables import TABLES
from qimo_assets.simulator.times import TIME

RECENT_LINES = 512
CRLF_SHARE = 0.02
TOO_LONG_BYTES = 1_048_577
TOO_LONG_SHARE = 0.002
MAX_TOO_LONG = 3


class Writer:
    """Makes lines out of times and counts what it made."""

    def __init__(
        self, random: Random, now: datetime, shares: tuple[float, float, float, float], files: int
    ) -> None:
        self.random = random
        self.bad = self.late = self.repeated = 0
        self._now, self._files = now, files
        self._too_long = 0
        self._kind_weights = tuple(accumulate(shares))
        self._recent: deque[str] = deque(maxlen=RECENT_LINES)

    def blocks(self, times: list[str]) -> list[bytes]:
        """Return, for each file, the lines that go to it."""
        random, recent, people, count = self.random, self._recent, everybody(), len(times)
        senders = random.choices(people.senders, cum_weights=people.sender_weights, k=count)
        receivers = random.choices(people.receivers, cum_weights=people.receiver_weights, k=count)
        tails = random.choices(people.tails, k=count)
        kinds = (
            random.choices(range(4), cum_weights=self._kind_weights, k=count)
            if self._kind_weights[0] < 1
            else endless(0, count)
        )
        files = random.choices(range(self._files), k=count)
        ends = random.choices(("\n", "\r\n"), (1 - CRLF_SHARE, CRLF_SHARE), k=count)
        blocks: list[list[str]] = [[] for _ in range(self._files)]
        for moment, sender, receiver, tail, kind, file, end in zip(
            times, senders, receivers, tails, kinds, files, ends, strict=True
        ):
            line = f"{moment}{SEPARATOR}{sender}{SEPARATOR}{receiver}{SEPARATOR}{tail}"
            if kind == 1:
                line = self._broken(line)
            elif kind == 2:
                line = self._older(line)
            elif kind == 3:
                line = self._copy(line)
            else:
                recent.append(line)
            blocks[file].append(line + end)
        # Lines that are not UTF-8 hold their raw bytes as surrogates.
        return ["".join(block).encode("utf-8", "surrogateescape") for block in blocks]

    def _older(self, line: str) -> str:
        self.late += 1
        moment, rest = line.split(SEPARATOR, 1)
        older = datetime.strptime(moment, TIME) - timedelta(
            seconds=self.random.randint(86_400, 3 * 86_400)
        )
        return older.strftime(TIME) + SEPARATOR + rest

    def _copy(self, line: str) -> str:
        if not self._recent:
            self._recent.append(line)
            return line
        self.repeated += 1
        return self.random.choice(self._recent)

    def _broken(self, line: str) -> str:
        self.bad += 1
        if self._too_long < MAX_TOO_LONG and self.random.random() < TOO_LONG_SHARE:
            self._too_long += 1
            return line + "长" * (TOO_LONG_BYTES // 3)
        reason = self.random.choice([reason for reason in Reason if reason is not Reason.TOO_LONG])
        return self._break(reason, line)

    def _break(self, reason: Reason, line: str) -> str:
        random = self.random
        match reason:
            case Reason.NOT_UTF8:
                # A character cut in two at the end, or bytes of another encoding in the nickname.
                torn = line + random.choice("消息七陌")
                return random.choice(
                    (
                        _escape(torn.encode()[:-1]),
                        _with(line, "sender_nickname", _escape(b"\xcd\xf5\xce\xb0\xff")),
                    )
                )
            case Reason.FIELD_COUNT:
                fields = line.split(SEPARATOR)
                cut = random.randrange(1, len(fields))
                shapes = (
                    "",
                    SEPARATOR.join(fields[:cut]),
                    line + SEPARATOR * (len(FIELDS) - MIN_FIELDS + 1),
                    line.replace(SEPARATOR, "\t"),
                    line + SEPARATOR + line,
                )
                return random.choice(shapes)
            case Reason.BAD_TIME:
                return _with(line, "msg_time", random.choice(TABLES["bad_times"]))
            case Reason.BEFORE_FIRST_DAY:
                return _with(line, "msg_time", random.choice(TABLES["times_of_dead_clocks"]))
            case Reason.TIME_AHEAD:
                ahead = self._now + timedelta(seconds=random.randint(30 * 86_400, 400 * 86_400))
                return _with(line, "msg_time", ahead.strftime(TIME))
            case Reason.NO_SENDER:
                return _with(line, "sender_account", "")
            case Reason.NO_RECEIVER:
                return _with(line, "receiver_account", "")
            case _:
                raise ValueError(
                    f"The simulator cannot write a line that is rejected as {reason.value}."
                )


def _escape(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _with(line: str, name: str, text: str) -> str:
    """Return the line with another text in one field."""
    fields = line.split(SEPARATOR)
    fields[POSITION[name]] = text
    return SEPARATOR.join(fields)
