"""The chat servers' simulator behind `./qimo feed`: appends lines to log files as the chat servers
do.

It knows the contract's fields and nothing of the pipeline. What it writes is a function of the seed
and of `now`; the people (accounts, nicknames, homes, phones) are the same for every seed, so that
accounts return from feed to feed.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from itertools import repeat as endless
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from qimo_assets.contract import FEWEST_FIELDS, FIELDS, SEPARATOR, TIMEZONE, Reason

ZONE = ZoneInfo(TIMEZONE)
FILES = ("chat-1.log", "chat-2.log", "chat-3.log")
PEOPLE = 20_000
TAILS = 8_192
CHUNK_LINES = 10_000
TICK_SECONDS = 0.2
RECENT_LINES = 512
CRLF_SHARE = 0.02
TOO_LONG_BYTES = 1_048_577
TOO_LONG_SHARE = 0.002
MOST_TOO_LONG = 3

_TIME = "%Y-%m-%d %H:%M:%S"
_POSITION = {field.name: position for position, field in enumerate(FIELDS)}
_MINUTES_SECONDS = tuple(f"{second // 60:02d}:{second % 60:02d}" for second in range(3600))
# How much is written in each hour of the day: little at night, most in the evening.
_HOUR_WEIGHTS = (
    9,
    5,
    3,
    2,
    2,
    3,
    8,
    18,
    30,
    38,
    42,
    44,
    48,
    42,
    38,
    38,
    40,
    44,
    50,
    58,
    66,
    64,
    46,
    24,
)


@dataclass(frozen=True)
class _Place:
    """Where people live: a point on the map, how many live there, and first halves (`a.b`) of its
    addresses.
    """

    longitude: float
    latitude: float
    weight: float
    networks: tuple[str, ...]


_PLACES = (
    _Place(116.41, 39.90, 60, ("123.112", "123.113", "114.240", "114.241", "221.216")),
    _Place(121.47, 31.23, 60, ("101.80", "101.81", "58.32", "116.224", "180.152")),
    _Place(113.26, 23.13, 55, ("113.65", "59.41", "119.130", "183.6")),
    _Place(114.06, 22.54, 50, ("113.87", "116.24", "119.123", "113.104")),
    _Place(120.15, 30.28, 40, ("115.192", "115.196", "60.176", "125.118")),
    _Place(118.80, 32.06, 35, ("58.212", "180.109", "222.94", "114.221")),
    _Place(120.58, 31.30, 30, ("58.208", "117.80", "121.236")),
    _Place(104.07, 30.57, 45, ("125.64", "125.70", "222.209", "171.216")),
    _Place(106.55, 29.56, 35, ("113.204", "222.176", "219.152", "106.80")),
    _Place(114.31, 30.59, 35, ("27.16", "59.172", "58.48", "171.112")),
    _Place(112.94, 28.23, 30, ("113.246", "175.8", "222.240", "220.168")),
    _Place(113.63, 34.75, 35, ("123.14", "1.192", "171.8", "115.60")),
    _Place(117.00, 36.65, 25, ("119.162", "112.224", "27.210", "60.208")),
    _Place(120.38, 36.07, 25, ("119.167", "27.192", "112.252", "58.56")),
    _Place(108.94, 34.34, 30, ("113.132", "113.200", "117.32", "124.114")),
    _Place(119.30, 26.08, 22, ("110.80", "110.90", "117.24", "220.160")),
    _Place(117.23, 31.82, 22, ("114.96", "60.166", "36.4", "117.64")),
    _Place(115.86, 28.68, 18, ("106.224", "117.40", "115.148", "182.84")),
    _Place(123.43, 41.81, 20, ("60.20", "123.184", "113.225", "175.160")),
    _Place(125.32, 43.82, 14, ("175.16", "123.172", "119.48", "222.168")),
    _Place(126.53, 45.80, 14, ("1.188", "112.100", "222.170", "113.0")),
    _Place(114.51, 38.04, 20, ("60.0", "27.184", "106.114", "121.16")),
    _Place(117.20, 39.08, 18, ("60.24", "111.160", "117.8", "123.150")),
    _Place(112.55, 37.87, 14, ("1.68", "59.49", "118.72", "183.184")),
    _Place(108.37, 22.82, 18, ("180.136", "113.12", "222.216", "116.252")),
    _Place(102.71, 25.04, 16, ("116.52", "112.112", "182.240", "222.172")),
    _Place(106.63, 26.65, 14, ("111.120", "114.138", "58.16")),
    _Place(103.83, 36.06, 10, ("118.180", "61.178", "42.88", "125.74")),
    _Place(111.75, 40.84, 10, ("1.24", "110.16", "116.112", "123.178")),
    _Place(87.62, 43.83, 10, ("124.88", "110.152", "218.84", "222.80")),
    _Place(110.33, 20.03, 8, ("124.225", "153.0", "59.50")),
    _Place(106.23, 38.49, 5, ("124.224", "14.134", "222.75")),
    _Place(101.78, 36.62, 4, ("223.220", "125.72", "139.170")),
    _Place(91.13, 29.65, 2, ("124.31",)),
    _Place(114.17, 22.32, 8, ("219.73", "203.198", "219.76")),
    _Place(113.54, 22.19, 3, ("60.246", "202.175")),
    _Place(121.56, 25.04, 6, ("61.220", "114.32", "220.130")),
    _Place(139.69, 35.69, 4, ("126.1", "133.200")),
    _Place(126.98, 37.57, 4, ("175.192", "211.168")),
    _Place(103.85, 1.29, 4, ("116.86", "118.200")),
    _Place(101.69, 3.14, 3, ("175.136", "60.48")),
    _Place(-122.42, 37.77, 5, ("73.15", "24.4")),
    _Place(-74.01, 40.71, 4, ("72.225", "98.116")),
    _Place(-123.12, 49.28, 3, ("24.80", "70.68")),
    _Place(151.21, -33.87, 4, ("1.120", "110.20")),
    _Place(-0.13, 51.51, 3, ("86.128", "81.96")),
    _Place(2.35, 48.86, 2, ("90.0", "82.64")),
    _Place(13.40, 52.52, 2, ("91.0", "84.128")),
)

_MOBILE_PREFIXES = (
    "130",
    "131",
    "133",
    "135",
    "136",
    "137",
    "138",
    "139",
    "150",
    "151",
    "158",
    "159",
    "177",
    "180",
    "186",
    "188",
    "189",
    "199",
)
_PHONES = {
    "Android": (
        "HUAWEI Mate 40",
        "HUAWEI P50",
        "HONOR 90",
        "Xiaomi 13",
        "Xiaomi 14",
        "Redmi K60",
        "OPPO Find X6",
        "OPPO Reno10",
        "vivo X90",
        "Samsung S23",
    ),
    "iOS": (
        "iPhone 12",
        "iPhone 13",
        "iPhone 14",
        "iPhone 14 Pro",
        "iPhone 15",
        "iPhone 15 Pro Max",
    ),
    "HarmonyOS": ("HUAWEI Mate 60 Pro", "HUAWEI P60", "HUAWEI nova 12", "HUAWEI Mate X5"),
    "Windows": ("PC",),
    "": ("",),
}
_SYSTEMS = {"Android": 52, "iOS": 30, "HarmonyOS": 13, "Windows": 4, "": 1}
_NETWORKS = {"5G": 42, "4G": 25, "WIFI": 30, "3G": 2, "": 1}
_SEXES = {"男": 50, "女": 47, "": 2, "保密": 1}
_ODD_ADDRESSES = (
    "",
    "unknown",
    "0.0.0.0",  # nosec B104  # a sender's address in a line, no listener
    "256.1.1.1",
    "127.0.0.1",
    "192.168.1.7",
    "10.0.3.21",
    "010.20.30.40",
    "2408:8400::1a2b",
    "240e:3a1:4c2::5f",
)
_TYPES = {
    "TEXT": 700,
    "IMAGE": 120,
    "AUDIO": 80,
    "VIDEO": 35,
    "EMOJI": 35,
    "LOCATION": 10,
    "FILE": 10,
    "LINK": 8,
    "": 2,
}
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余"
    "于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金"
)
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉萍红鑫宇浩然子轩梓涵一诺欣怡雨桐"
    "佳琪思远晓东海燕建国志强文博俊熙"
)
_LABELS = (
    "快乐的{}",
    "小{}同学",
    "{}哥",
    "{}姐",
    "阿{}",
    "爱吃{}的猫",
    "{}在路上",
    "{}_official",
    "云淡风轻{}",
    "{}🌸",
)
_OPENINGS = (
    "在吗？",
    "哈哈哈，",
    "你好，",
    "对了，",
    "刚看到，",
    "",
    "",
    "嗯嗯，",
    "收到，",
    "早上好，",
    "晚上好，",
    "不好意思，",
    "OK，",
    "那个，",
)
_CONTENTS = (
    "今天晚上一起吃饭吧",
    "明天的会议改到下午三点",
    "我已经到公司楼下了",
    "周末去爬山怎么样",
    "文件发你邮箱了",
    "这个价格还能再便宜一点吗",
    "快递到了记得取一下",
    "路上有点堵车，晚到十分钟",
    "那部电影真的很好看",
    "帮我带杯咖啡",
    "生日快乐",
    "你那边下雨了吗",
    "我先去忙了，回头聊",
    "项目进度怎么样了",
    "照片拍得真不错",
    "机票已经订好了",
    "孩子今天考试考得很好",
    "这道菜怎么做的",
    "下个月我要去出差",
    "手机快没电了",
    "想你了",
    "记得早点休息",
    "好的没问题",
    "等我电话",
)
_ENDINGS = ("", "", "", "。", "！", "~", "😂", "👍", "🙏", "……", "，你觉得呢？", "，谢谢！")
_SHOWN = {
    "IMAGE": "[图片] https://img.7moor.example/{}.jpg",
    "AUDIO": "[语音] {}",
    "VIDEO": "[视频] https://v.7moor.example/{}.mp4",
    "EMOJI": "[表情]{}",
    "LOCATION": "[位置] {}",
    "FILE": "[文件] 报表{}.xlsx",
    "LINK": "https://m.7moor.example/s/{}",
}
_BAD_TIMES = (
    "",
    "2024/05/01 12:00:00",
    "2023-02-29 12:00:00",
    "20240501120000",
    "2024-05-01T12:00:00",
    "2024-05-01 25:00:00",
    "0000-00-00 00:00:00",
    "2024-5-1 8:00:00",
    " 2024-05-01 08:00:00",
    "2024-05-01 08:00:60",
    "1714521600",
    "NULL",
)


class FeedError(Exception):
    """The lines cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class FeedReport:
    """What one feed appended.

    Attributes:
        lines: Lines written, bad, repeated and late ones among them.
        bytes: Bytes written.
        files: The files that were appended to.
        bad: Lines that break the contract.
        repeated: Exact copies of an earlier line.
        late: Lines whose time is one to three days older than their neighbours'.
        seconds: How long it took.
    """

    lines: int
    bytes: int
    files: tuple[Path, ...]
    bad: int
    repeated: int
    late: int
    seconds: float


@dataclass(frozen=True)
class _People:
    """Everybody's half lines, ready to be put together, with the accumulated weight of each."""

    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    sender_weights: tuple[float, ...]
    receiver_weights: tuple[float, ...]
    tails: tuple[str, ...]


def feed(
    log_dir: Path,
    lines: int,
    *,
    rate: float | None = None,
    days: int = 1,
    bad: float = 0.0,
    late: float = 0.0,
    repeat: float = 0.0,
    seed: int | None = None,
    now: datetime | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> FeedReport:
    """Append lines to the log files of `log_dir` as the chat servers do.

    The same seed and the same `now` append the same bytes, unless `rate` is given.

    Args:
        log_dir: Directory of the log files; made when it is not there.
        lines: How many lines to append.
        rate: Lines per second, each with the present time; None writes as fast as it can.
        days: Without `rate`, how many days up to `now` the messages' times are spread over.
        bad: Share of lines that break the contract, 0 to 1.
        late: Share of lines with a time one to three days older than their neighbours', 0 to 1.
        repeat: Share of lines that are exact copies of an earlier line, 0 to 1.
        seed: Seed of everything that is left to chance.
        now: The last time that a message may have; the present when None. Without a zone it is
            Asia/Shanghai.
        on_progress: Called with the lines written so far.

    Returns:
        What was appended.

    Raises:
        ValueError: An argument is out of its range.
        FeedError: A file cannot be written.
    """
    _check(lines, rate, days, bad, late, repeat)
    started = time.monotonic()
    end = _in_zone(now)
    writer = _Writer(Random(seed), end, (1 - bad - late - repeat, bad, late, repeat))
    report = FeedReport(
        0, 0, tuple(log_dir / name for name in FILES) if lines else (), 0, 0, 0, 0.0
    )
    batches = (
        _paced(lines, rate)
        if rate
        else _spread(writer.random, lines, end - timedelta(days=days), end)
    )
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            handles = [stack.enter_context(path.open("ab", buffering=0)) for path in report.files]
            for times in batches:
                for handle, block in zip(handles, writer.blocks(times), strict=True):
                    _append(handle.fileno(), block)
                    report = replace(report, bytes=report.bytes + len(block))
                report = replace(report, lines=report.lines + len(times))
                if on_progress:
                    on_progress(report.lines)
    except OSError as error:
        raise FeedError(
            f"{log_dir} cannot be written: {error}. Make room or choose another directory, "
            "then feed again."
        ) from error
    return replace(
        report,
        bad=writer.bad,
        repeated=writer.repeated,
        late=writer.late,
        seconds=time.monotonic() - started,
    )


def _check(
    lines: int, rate: float | None, days: int, bad: float, late: float, repeat: float
) -> None:
    if lines < 0:
        raise ValueError(f"lines is {lines}; give 0 or more")
    if rate is not None and rate <= 0:
        raise ValueError(f"rate is {rate}; give more than 0 lines per second")
    if days < 1:
        raise ValueError(f"days is {days}; give 1 or more")
    if min(bad, late, repeat) < 0 or bad + late + repeat > 1:
        raise ValueError(
            f"bad {bad}, late {late} and repeat {repeat} are shares: give 0 or more each, "
            "and at most 1 together"
        )


def _in_zone(now: datetime | None) -> datetime:
    if now is None:
        return datetime.now(ZONE)
    return now.astimezone(ZONE) if now.tzinfo else now.replace(tzinfo=ZONE)


def _append(descriptor: int, block: bytes) -> None:
    """Append whole lines only: a write cut short, as on a full disk, is taken back to the end of
    its last whole line.
    """
    written = os.write(descriptor, block)
    if written < len(block):
        torn = written - (block.rfind(b"\n", 0, written) + 1)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - torn)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _spread(random: Random, lines: int, start: datetime, end: datetime) -> Iterator[list[str]]:
    """Yield the times of all lines in order, in chunks, between start and end, more by day than by
    night.
    """
    hours = list(_hours(start, end))
    bounds = list(
        accumulate(_HOUR_WEIGHTS[opened.hour] * (until - since) for opened, since, until in hours)
    )
    prefixes = [opened.strftime("%Y-%m-%d %H:") for opened, _, _ in hours]
    step = bounds[-1] / max(lines, 1)
    hour, lower = 0, 0.0
    for first in range(0, lines, CHUNK_LINES):
        times = []
        for number in range(first, min(first + CHUNK_LINES, lines)):
            point = (number + random.random()) * step
            while point >= bounds[hour] and hour < len(hours) - 1:
                lower = bounds[hour]
                hour += 1
            _, since, until = hours[hour]
            share = min((point - lower) / (bounds[hour] - lower), 1.0)
            times.append(
                prefixes[hour] + _MINUTES_SECONDS[min(int(since + share * (until - since)), 3599)]
            )
        yield times


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, float, float]]:
    """Yield each hour of the clock between start and end with the seconds of it that lie between
    them.
    """
    opened = start.replace(minute=0, second=0, microsecond=0)
    while opened < end:
        since = max((start - opened).total_seconds(), 0.0)
        until = min((end - opened).total_seconds(), 3600.0)
        yield opened, since, until
        opened += timedelta(hours=1)


def _paced(lines: int, rate: float) -> Iterator[list[str]]:
    """Yield the present time once for each line that is due, `rate` lines per second."""
    started, done = time.monotonic(), 0
    while done < lines:
        due = min(int((time.monotonic() - started) * rate), lines, done + CHUNK_LINES)
        if due > done:
            yield [datetime.now(ZONE).strftime(_TIME)] * (due - done)
            done = due
        else:
            next_line = started + (done + 1) / rate - time.monotonic()
            time.sleep(max(next_line, TICK_SECONDS))


class _Writer:
    """Makes lines out of times and counts what it made."""

    def __init__(
        self, random: Random, now: datetime, shares: tuple[float, float, float, float]
    ) -> None:
        self.random = random
        self.bad = self.late = self.repeated = 0
        self._now = now
        self._too_long = 0
        self._kind_weights = tuple(accumulate(shares))
        self._recent: deque[str] = deque(maxlen=RECENT_LINES)

    def blocks(self, times: list[str]) -> list[bytes]:
        """Return, for each file, the lines that go to it."""
        random, recent, people, count = self.random, self._recent, _people(), len(times)
        senders = random.choices(people.senders, cum_weights=people.sender_weights, k=count)
        receivers = random.choices(people.receivers, cum_weights=people.receiver_weights, k=count)
        tails = random.choices(people.tails, k=count)
        kinds = (
            random.choices(range(4), cum_weights=self._kind_weights, k=count)
            if self._kind_weights[0] < 1
            else endless(0, count)
        )
        files = random.choices(range(len(FILES)), k=count)
        ends = random.choices(("\n", "\r\n"), (1 - CRLF_SHARE, CRLF_SHARE), k=count)
        blocks: list[list[str]] = [[] for _ in FILES]
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
        older = datetime.strptime(moment, _TIME) - timedelta(
            seconds=self.random.randint(86_400, 3 * 86_400)
        )
        return older.strftime(_TIME) + SEPARATOR + rest

    def _copy(self, line: str) -> str:
        if not self._recent:
            self._recent.append(line)
            return line
        self.repeated += 1
        return self.random.choice(self._recent)

    def _broken(self, line: str) -> str:
        self.bad += 1
        if self._too_long < MOST_TOO_LONG and self.random.random() < TOO_LONG_SHARE:
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
                    line + SEPARATOR,
                    line.replace(SEPARATOR, "\t"),
                    line + SEPARATOR + line,
                )
                return random.choice(shapes)
            case Reason.BAD_TIME:
                return _with(line, "msg_time", random.choice(_BAD_TIMES))
            case Reason.TIME_AHEAD:
                ahead = self._now + timedelta(seconds=random.randint(30 * 86_400, 400 * 86_400))
                return _with(line, "msg_time", ahead.strftime(_TIME))
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
    fields[_POSITION[name]] = text
    return SEPARATOR.join(fields)


@lru_cache(maxsize=1)
def _people() -> _People:
    """Return everybody: Zipf-skewed accounts, each seen at home on WIFI, and twice on the road."""
    random = Random(TIMEZONE)
    senders, receivers, weights = [], [], []
    for rank in range(1, PEOPLE + 1):
        zipf = rank**-0.85
        for fields, share in _appearances(random):
            senders.append(_half(fields, "sender"))
            receivers.append(_half(fields, "receiver"))
            weights.append(zipf * share)
    others = list(weights)
    # Who writes most is not who is written to most.
    random.shuffle(others)
    return _People(
        tuple(senders),
        tuple(receivers),
        tuple(accumulate(weights)),
        tuple(accumulate(others)),
        tuple(_tail(random) for _ in range(TAILS)),
    )


def _appearances(random: Random) -> Iterator[tuple[dict[str, str], float]]:
    """Yield one person's fields in each of the ways in which they appear, with the share
    of each.
    """
    system = _pick(random, _SYSTEMS)
    place = random.choices(_PLACES, [place.weight for place in _PLACES])[0]
    person = {
        "nickname": _nickname(random),
        "account": random.choice(_MOBILE_PREFIXES) + f"{random.randrange(10**8):08d}",
        "sex": _pick(random, _SEXES),
        "os": system,
        "phone_type": random.choice(_PHONES[system]),
    }
    for share in (0.5, 0.3, 0.2):
        yield (
            person
            | {
                "network": _pick(random, _NETWORKS),
                "ip": _address(random, place),
                "gps": _gps(random, place),
            },
            share,
        )


def _half(fields: dict[str, str], party: str) -> str:
    names = [
        field.name.removeprefix(f"{party}_")
        for field in FIELDS
        if field.name.startswith(f"{party}_")
    ]
    return SEPARATOR.join(fields[name] for name in names)


def _pick(random: Random, weights: dict[str, int]) -> str:
    return random.choices(tuple(weights), tuple(weights.values()))[0]


def _nickname(random: Random) -> str:
    if random.random() < 0.02:
        return ""
    if random.random() < 0.35:
        return random.choice(_LABELS).format(random.choice(_GIVEN))
    return random.choice(_SURNAMES) + "".join(random.choices(_GIVEN, k=random.choice((1, 2, 2))))


def _address(random: Random, place: _Place) -> str:
    if random.random() < 0.02:
        return random.choice(_ODD_ADDRESSES)
    return f"{random.choice(place.networks)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def _gps(random: Random, place: _Place) -> str:
    """Return `lon,lat` near the place; seldom `lat,lon`, nothing, or nonsense, as some producers
    write.
    """
    longitude, latitude = (
        place.longitude + random.gauss(0, 0.15),
        place.latitude + random.gauss(0, 0.15),
    )
    shape = random.random()
    if shape < 0.02:
        return random.choice(("", "", "0", "null,null"))
    if shape < 0.05:
        return f"{latitude:.6f},{longitude:.6f}"
    return f"{longitude:.6f},{latitude:.6f}"


def _tail(random: Random) -> str:
    kind = _pick(random, _TYPES)
    text = random.choice(_OPENINGS) + random.choice(_CONTENTS) + random.choice(_ENDINGS)
    shown = {
        "msg_type": kind,
        "distance": random.choice(("", "未知"))
        if random.random() < 0.02
        else f"{min(random.lognormvariate(3.5, 2.0), 19_000):.2f}KM",
        "message": _SHOWN[kind].format(f"{random.randrange(16**8):08x}")
        if kind in _SHOWN
        else ""
        if random.random() < 0.01
        else text,
    }
    return SEPARATOR.join(
        shown[field.name] for field in FIELDS[_POSITION["msg_type"] : FEWEST_FIELDS]
    )
