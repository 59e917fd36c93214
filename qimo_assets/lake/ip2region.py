"""Country, province and city of IP addresses, out of ip2region's two databases: read once, as one
sorted array of first addresses. The names of the IPv4 database are the names of both.

Nothing here starts a thread: what forks Spark's workers reads it before (`workers.py`).
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import NamedTuple

import numpy as np

IPV4_DATABASE = "ip2region/ip2region.xdb"
IPV6_DATABASE = "ip2region/ipv6wry.db"
# xdb structure 2.0 (lionsoul2014/ip2region, binding/golang/xdb/maker.go): bytes 8 to 16 of the
# header give the first and the last entry of the index; an entry is start, end, and length and
# place of the region's text.
HEADER_INDEX = slice(8, 16)
SEGMENT = np.dtype([("start", "<u4"), ("end", "<u4"), ("length", "<u2"), ("place", "<u4")])
# ZX's ipv6wry: bytes 8 to 24 of the header give the number of entries and the place of the index;
# an entry is the upper half of the first address and the 3-byte place of its text, which ends with
# a NUL. A text that begins with 1 or 2 is the place of another text.
IPV6_HEADER = slice(8, 24)
IPV6_SEGMENT = np.dtype([("start", "<u8"), ("place", "u1", 3)])
ELSEWHERE = (1, 2)

# Upper halves below 2**32 are reserved in IPv6 (::/32): there the IPv4 addresses have their place.
FIRST_IPV6 = 1 << 32
NO_ADDRESS = (1 << 64) - 1
GLOBAL_UNICAST = IPv6Network("2000::/3")
# RFC 6890 and IANA's registries of special addresses.
SPECIAL_IPV4 = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
SPECIAL_IPV6 = [
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]

AREA = re.compile(r"欧洲|.*地区")
SUFFIX = re.compile(r"(?<=..)(特别行政区|自治区|自治州|地区|省|市|区|州|盟|县|府|都)$")
# Countries that the IPv6 database calls by another name.
COUNTRIES = {
    "北马其顿": "马其顿",
    "孟加拉国": "孟加拉",
    "密克罗尼西亚联邦": "密克罗尼西亚",
    "波斯尼亚和黑塞哥维那": "波黑",
    "留尼汪": "留尼旺",
    "刚果(布)": "刚果布",
    "刚果(金)": "刚果金",
}

Region = tuple[str | None, str | None, str | None]
Row = tuple[str | None, ...]
NOWHERE: Region = (None, None, None)


class Regions(NamedTuple):
    """What an address is looked up in.

    Attributes:
        starts: First addresses of the segments, sorted: IPv4 ones as they are, of IPv6 the upper
            half.
        places: The row of each segment's region.
        table: The regions: country, province, city.
    """

    starts: np.ndarray
    places: np.ndarray
    table: Sequence[Region]


@lru_cache(maxsize=2)
def load(jar: str) -> Regions:
    """Read both databases of the jar."""
    with zipfile.ZipFile(Path(jar)) as archive:
        starts4, texts4, which4 = _read_ipv4(archive.read(IPV4_DATABASE))
        starts6, texts6, which6 = _read_ipv6(archive.read(IPV6_DATABASE))
    regions = [_ipv4_region(text) for text in texts4]
    names = _Names(regions)
    regions = [names.of(region) for region in [*regions, *map(_ipv6_region, texts6)]]
    table = list(dict.fromkeys([NOWHERE, *regions]))
    row = {region: at for at, region in enumerate(table)}
    rows = np.array([row[region] for region in regions])
    starts, places = starts4, rows[which4]
    for network in SPECIAL_IPV4:
        first = int(network.network_address)
        starts, places = _without(starts, places, first, first + network.num_addresses)
    place6 = rows[which6 + len(texts4)]
    inside = starts6 >= FIRST_IPV6
    starts, places = np.append(starts, starts6[inside]), np.append(places, place6[inside])
    first, end = _upper_halves(GLOBAL_UNICAST)
    for since, until in [(FIRST_IPV6, first), (end, NO_ADDRESS), *map(_upper_halves, SPECIAL_IPV6)]:
        starts, places = _without(starts, places, since, until)
    return Regions(starts, places, table)


def _read_ipv4(data: bytes) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the segments' first addresses, the distinct texts, and which text is each one's."""
    first, last = np.frombuffer(data[HEADER_INDEX], "<u4")
    segments = np.frombuffer(data[first : last + SEGMENT.itemsize], SEGMENT)
    places, which = np.unique(segments["place"], return_inverse=True)
    lengths = np.zeros(len(places), dtype=int)
    lengths[which] = segments["length"]
    texts = [data[at : at + length].decode() for at, length in zip(places, lengths, strict=True)]
    return segments["start"].astype(np.uint64), texts, which


def _read_ipv6(data: bytes) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return what `_read_ipv4` does, of the upper halves of addresses."""
    count, index = (int(number) for number in np.frombuffer(data[IPV6_HEADER], "<u8"))
    segments = np.frombuffer(data, IPV6_SEGMENT, count, index)
    octets = np.frombuffer(data, np.uint8)
    place_of = np.array([1, 1 << 8, 1 << 16], dtype=np.int64)
    places = (segments["place"] @ place_of).astype(np.int64)
    while (moved := np.isin(octets[places], ELSEWHERE)).any():
        pointers = octets[places[moved, None] + np.array([1, 2, 3])]
        places[moved] = (pointers @ place_of).astype(np.int64)
    places, which = np.unique(places, return_inverse=True)
    texts = [data[at : data.index(b"\0", at)].decode() for at in places]
    return segments["start"].astype(np.uint64), texts, which


def _upper_halves(network: IPv6Network) -> tuple[int, int]:
    """Return the first upper half of a network and the one after its last."""
    first = int(network.network_address) >> 64
    return first, first + (1 << (64 - network.prefixlen))


def _without(
    starts: np.ndarray, places: np.ndarray, first: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments without the range from first up to end: it is nowhere."""
    begin, after = np.searchsorted(starts, np.array([first, end], dtype=np.uint64))
    at, of = [first], [0]
    # What goes on behind the range begins there.
    if after == len(starts) or starts[after] != end:
        at, of = [first, end], [0, int(places[after - 1])]
    return (
        np.concatenate([starts[:begin], np.array(at, dtype=np.uint64), starts[after:]]),
        np.concatenate([places[:begin], np.array(of), places[after:]]),
    )


# --- the names


def _ipv4_region(text: str) -> Region:
    # country|area|province|city|provider, "0" for what is not known; a private network has a city
    # and no country.
    country, _, province, city, _ = (None if part == "0" else part for part in text.split("|"))
    return country, province, city


def _ipv6_region(text: str) -> Region:
    # country, province, city, district, as many as are known; "country part" for an own region.
    country, province, city, *_ = [*(part or None for part in text.split("\t")), None, None, None]
    if country and " " in country:
        country, part = country.split(" ", 1)
        return (country, part, city) if country == "中国" else (part, province, city)
    return country, province, city


class _Names:
    """The names of the IPv4 database, as the names of both."""

    def __init__(self, regions: list[Region]) -> None:
        self._countries = {country for country, _, _ in regions if country}
        # Country, or country and province -> stem -> names and how often they are there.
        self._known: dict[Row, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for country, province, _ in regions:
            if province:
                self._known[country,][_stem(province)][province] += 1
        for country, province, city in regions:
            if province and city:
                province = self._of((country,), province)
                self._known[country, province][_stem(city)][city] += 1

    def of(self, region: Region) -> Region:
        """Return the region in the IPv4 database's names; a place that it does not know keeps its
        own.
        """
        country, province, city = region
        country = country and COUNTRIES.get(country, country)
        if country not in self._countries or AREA.fullmatch(country):
            return NOWHERE
        province = province and self._of((country,), province)
        return country, province, city and self._city(country, province, city)

    def _of(self, within: Row, name: str) -> str:
        """Return the known name of the same stem: `北京` for `北京市`, `延边` for `延边州`."""
        stem = _stem(name)
        names = self._known[within][stem]
        # Of 新竹市 and 新竹县 neither is the other.
        if not names or (name in names and sum(known != stem for known in names) > 1):
            return name
        return max(names, key=lambda known: (names[known], known))

    def _city(self, country: str, province: str | None, city: str) -> str:
        cities = self._known[country, province]
        # A province that is one city has districts in the IPv6 database.
        if province and list(cities) == [_stem(province)]:
            city = province
        return self._of((country, province), city)


def _stem(name: str) -> str:
    return SUFFIX.sub("", name)
