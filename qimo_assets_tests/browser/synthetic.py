"""Figures as a busy day of 七陌 gives them, without a lake: each day a function of its date, its
parts adding up to its total.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from qimo_assets.contract import UNKNOWN, Reason
from qimo_assets.metrics.catalog import Metric

Weights = dict[Any, float]
HOURS: Weights = dict(
    enumerate(
        (9, 5, 3, 2, 2, 3, 8, 18, 30, 38, 42, 44, 48, 42, 38, 38, 40, 44, 50, 58, 66, 64, 46, 24)
    )
)
AT_HOME = {
    "广东省": 105, "北京": 60, "上海": 60, "江苏省": 65, "浙江省": 40, "四川省": 45, "山东省": 50, "重庆": 35, "湖北省": 35,
    "湖南省": 30, "河南省": 35, "陕西省": 30, "福建省": 22, "安徽省": 22, "江西省": 18, "辽宁省": 20, "吉林省": 14, "黑龙江省": 14,
    "河北省": 20, "天津": 18, "山西省": 14, "广西": 18, "云南省": 16, "贵州省": 14, "甘肃省": 10, "内蒙古": 10, "新疆": 10,
    "海南省": 8, "宁夏": 5, "青海省": 4, "西藏": 2, "香港": 8, "澳门": 3, "台湾省": 6,
}  # fmt: skip
ABROAD: Weights = {
    ("美国", "加利福尼亚州"): 5, ("美国", "纽约州"): 4, ("日本", "东京都"): 4, ("韩国", UNKNOWN): 4, ("新加坡", UNKNOWN): 4, ("澳大利亚", "新南威尔士州"): 4,
    ("马来西亚", UNKNOWN): 3, ("加拿大", "安大略省"): 3, ("英国", "英格兰"): 3, ("法国", UNKNOWN): 2, ("德国", "柏林"): 2, (UNKNOWN, UNKNOWN): 18,
}  # fmt: skip
PLACES: Weights = {("中国", province): weight for province, weight in AT_HOME.items()} | ABROAD
SEXES: Weights = {"男": 50, "女": 47, UNKNOWN: 3}
PHONES: Weights = {
    "iPhone 15 Pro Max": 60, "iPhone 15": 55, "HUAWEI Mate 60 Pro": 52, "Xiaomi 14": 44, "iPhone 14 Pro": 40, "iPhone 13": 38, "HUAWEI P60": 33,
    "Redmi K60": 30,
    "OPPO Find X6": 28, "vivo X90": 26, "HONOR 90": 22, "Samsung S23": 12, "HUAWEI nova 12": 11, UNKNOWN: 5,
}  # fmt: skip
SYSTEMS: Weights = {"Android": 52, "iOS": 30, "HarmonyOS": 13, "Windows": 4, UNKNOWN: 1}
NETWORKS: Weights = {"5G": 42, "WIFI": 30, "4G": 25, "3G": 2, UNKNOWN: 1}
TYPES: Weights = {
    "TEXT": 700,
    "IMAGE": 120,
    "AUDIO": 80,
    "VIDEO": 35,
    "EMOJI": 35,
    "LOCATION": 10,
    "FILE": 10,
    "LINK": 8,
    UNKNOWN: 2,
}
BANDS: Weights = {"0-1": 5, "1-10": 22, "10-100": 41, "100-1000": 27, "1000+": 4, UNKNOWN: 1}
SURNAMES, GIVEN = "王李张刘陈杨黄赵吴周徐孙马朱胡", "伟芳娜敏静丽强磊军洋勇艳杰娟涛"


def days_up_to(last: str, count: int) -> list[str]:
    """Return so many days, the given one as the last."""
    end = date.fromisoformat(last)
    return [(end - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def rows_of(metric: Metric, day: str, share: float = 1.0) -> list[tuple[Any, ...]]:
    """Return a metric's rows of one day, in the catalog's column order.

    Args:
        metric: The metric.
        day: The day.
        share: How much of the day has passed.
    """
    rows = _ROWS[metric.name](day, share)
    return [tuple({"day": day, **row}[column.name] for column in metric.columns) for row in rows]


def total(day: str, share: float = 1.0) -> int:
    """Return the day's messages: a week's rhythm, slow growth, some noise."""
    moment = date.fromisoformat(day)
    weekly = (1.0, 0.97, 0.98, 1.0, 1.08, 1.22, 1.18)[moment.weekday()]
    growth = 1 + 0.0012 * (moment.toordinal() % 400)
    return int(150_000 * weekly * growth * (0.97 + 0.06 * Random(day).random()) * share)


def split(whole: int, weights: Weights, seed: str) -> dict[Any, int]:
    """Split a whole by weights, a little differently for each seed; the parts add up."""
    random = Random(seed)
    shares = {name: weight * (0.9 + 0.2 * random.random()) for name, weight in weights.items()}
    every = sum(shares.values())
    parts = {name: math.floor(whole * part / every) for name, part in shares.items()}
    parts[max(parts, key=lambda name: parts[name])] += whole - sum(parts.values())
    return {name: part for name, part in parts.items() if part}


def _people(messages: int, of: float = 6.5) -> int:
    return max(1, int(messages / of))


def _totals(day: str, share: float) -> list[dict[str, Any]]:
    messages = total(day, share)
    return [
        {
            "messages": messages,
            "senders": _people(messages, 11.3),
            "receivers": _people(messages, 10.7),
            "pairs": int(messages * 0.71),
        }
    ]


def _hours(day: str, share: float) -> list[dict[str, Any]]:
    passed = {
        hour: weight
        for hour, weight in HOURS.items()
        if share == 1 or sum(list(HOURS.values())[:hour]) < share * sum(HOURS.values())
    }
    parts = split(total(day, share), passed, f"{day} hours")
    return [
        {"hour": hour, "messages": part, "senders": _people(part), "receivers": _people(part, 6)}
        for hour, part in parts.items()
    ]


def _by_place(party: str) -> Callable[[str, float], list[dict[str, Any]]]:
    def rows(day: str, share: float) -> list[dict[str, Any]]:
        parts = split(total(day, share), PLACES, f"{day} {party}")
        return [
            {"country": country, "province": province, "messages": part, "users": _people(part)}
            for (country, province), part in parts.items()
        ]

    return rows


def _by(column: str, weights: Weights) -> Callable[[str, float], list[dict[str, Any]]]:
    def rows(day: str, share: float) -> list[dict[str, Any]]:
        return [
            {column: name, "messages": part, "senders": _people(part)}
            for name, part in split(total(day, share), weights, f"{day} {column}").items()
        ]

    return rows


def _sexes(day: str, share: float) -> list[dict[str, Any]]:
    pairs = {
        (one, other): weight * SEXES[other] for one, weight in SEXES.items() for other in SEXES
    }
    return [
        {"sender_sex": one, "receiver_sex": other, "messages": part}
        for (one, other), part in split(total(day, share), pairs, f"{day} sexes").items()
    ]


def _top(party: str) -> Callable[[str, float], list[dict[str, Any]]]:
    def rows(day: str, share: float) -> list[dict[str, Any]]:
        people = _accounts(party)
        random = Random(f"{day} {party}")
        messages = total(day, share)
        counted = [
            (
                max(1, int(messages * 0.0022 / rank**0.45 * (0.8 + 0.4 * random.random()))),
                *people[rank - 1],
            )
            for rank in range(1, 121)
        ]
        counted.sort(key=lambda one: (-one[0], one[1]))
        return [
            {"rank": rank, "account": account, "nickname": name, "messages": count}
            for rank, (count, account, name) in enumerate(counted[:100], 1)
        ]

    return rows


def _accounts(party: str) -> list[tuple[str, str]]:
    random = Random(party)
    return [
        (
            random.choice(("138", "139", "186", "159", "177")) + f"{random.randrange(10**8):08d}",
            random.choice(SURNAMES) + "".join(random.choices(GIVEN, k=2)),
        )
        for _ in range(120)
    ]


def _active(day: str, share: float) -> list[dict[str, Any]]:
    daily = _people(total(day, share), 11.3)
    back = int(daily * (0.58 + 0.05 * Random(day).random())) if share == 1 else 0
    return [
        {
            "daily": daily,
            "weekly": int(daily * 1.9),
            "monthly": int(daily * 2.7),
            "new": int(daily * 0.045),
            "returning_next_day": back,
        }
    ]


def _quality(day: str, share: float) -> list[dict[str, Any]]:
    rows, random = total(day, share), Random(day)
    reasons = {
        f"quarantined_{reason.value}": int(rows * 0.0009 * random.random()) for reason in Reason
    }
    again, late = int(rows * 0.0004), int(rows * 0.004)
    ages = {"age_p50": int(12 + 6 * random.random()), "age_p99": int(38 + 25 * random.random())}
    return [
        {
            "lines": rows + sum(reasons.values()) + again,
            "rows": rows,
            **reasons,
            "sent_again": again,
            "late": late,
            **ages,
        }
    ]


_ROWS: dict[str, Callable[[str, float], Sequence[dict[str, Any]]]] = {
    "message_total": _totals,
    "message_hourly": _hours,
    "sender_province": _by_place("sender"),
    "receiver_province": _by_place("receiver"),
    "sender_top": _top("sender"),
    "receiver_top": _top("receiver"),
    "sex_pair": _sexes,
    "phone_type": _by("phone_type", PHONES),
    "os": _by("os", SYSTEMS),
    "network": _by("network", NETWORKS),
    "message_type": _by("msg_type", TYPES),
    "distance_band": _by("band", BANDS),
    "active_user": _active,
    "data_quality": _quality,
}
