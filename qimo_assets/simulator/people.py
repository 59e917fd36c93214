"""The people, the same for every seed: accounts, nicknames, homes, phones; and what they write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any

from qimo_assets.contract import FIELDS, MIN_FIELDS, SEPARATOR, TIMEZONE
from qimo_assets.simulator.tables import TABLES

PEOPLE = 20_000
CARRIER_OF = {
    prefix: carrier for carrier, prefixes in TABLES["carriers"].items() for prefix in prefixes
}
TAILS = 8_192
POSITION = {field.name: position for position, field in enumerate(FIELDS)}


@dataclass(frozen=True)
class People:
    """Everybody's half lines, ready to be put together, with the accumulated weight of each."""

    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    sender_weights: tuple[float, ...]
    receiver_weights: tuple[float, ...]
    tails: tuple[str, ...]


@lru_cache(maxsize=1)
def everybody() -> People:
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
    return People(
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
    system = _pick(random, TABLES["systems"])
    place = random.choices(TABLES["places"], [place["weight"] for place in TABLES["places"]])[0]
    prefix = random.choice(tuple(CARRIER_OF))
    person = {
        "nickname": _nickname(random),
        "account": f"{prefix}{random.randrange(10**8):08d}",
        "sex": _pick(random, TABLES["sexes"]),
        "os": system,
        "phone_type": random.choice(TABLES["phones"][system]),
    }
    for share in (0.5, 0.3, 0.2):
        network = _pick(random, TABLES["networks"])
        yield (
            person
            | {
                "network": network,
                "ip": _address(random, place, network, CARRIER_OF[prefix]),
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
        return random.choice(TABLES["labels"]).format(random.choice(TABLES["given_names"]))
    return random.choice(TABLES["surnames"]) + "".join(
        random.choices(TABLES["given_names"], k=random.choice((1, 2, 2)))
    )


def _address(random: Random, place: Mapping[str, Any], network: str, carrier: str) -> str:
    """Return an address at the place: in China mostly IPv6 of the carrier's, less so on WIFI."""
    if random.random() < 0.02:
        return random.choice(TABLES["odd_addresses"])
    if "ipv6" in place and random.random() < TABLES["ipv6_shares"].get(network, 0):
        interface = ":".join(f"{random.randrange(1, 1 << 16):x}" for _ in range(5))
        return f"{random.choice(place['ipv6'][carrier])}:{interface}"
    return f"{random.choice(place['ipv4'])}.{random.randrange(256)}.{random.randrange(1, 255)}"


def _gps(random: Random, place: Mapping[str, Any]) -> str:
    """Return `lon,lat` near the place; seldom `lat,lon`, nothing, or nonsense, as some producers
    write.
    """
    longitude, latitude = (
        place["longitude"] + random.gauss(0, 0.15),
        place["latitude"] + random.gauss(0, 0.15),
    )
    shape = random.random()
    if shape < 0.02:
        return random.choice(("", "", "0", "null,null"))
    if shape < 0.05:
        return f"{latitude:.6f},{longitude:.6f}"
    return f"{longitude:.6f},{latitude:.6f}"


def _tail(random: Random) -> str:
    kind = _pick(random, TABLES["message_types"])
    text = (
        random.choice(TABLES["openings"])
        + random.choice(TABLES["contents"])
        + random.choice(TABLES["endings"])
    )
    shown = {
        "msg_type": kind,
        "distance": random.choice(("", "未知"))
        if random.random() < 0.02
        else f"{min(random.lognormvariate(3.5, 2.0), 19_000):.2f}KM",
        "message": TABLES["shown"][kind].format(f"{random.randrange(16**8):08x}")
        if kind in TABLES["shown"]
        else ""
        if random.random() < 0.01
        else text,
    }
    return SEPARATOR.join(shown[field.name] for field in FIELDS[POSITION["msg_type"] : MIN_FIELDS])
