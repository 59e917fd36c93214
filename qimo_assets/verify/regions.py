"""The region of an address, out of ip2region's databases, read a second time and one by one."""

from __future__ import annotations

import re
import struct
import zipfile
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from qimo_assets.verify.errors import VerifyError

IPV4_MEMBER = "ip2region/ip2region.xdb"
IPV6_MEMBER = "ip2region/ipv6wry.db"
# The longest text of an IPv6 address; longer ones have no place in the cache.
_LONGEST = 45

Place = tuple[str | None, str | None]
Locate = Callable[[str], Place]

_NOWHERE: Place = (None, None)
_NOT_PUBLIC = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
]
_PUBLIC6 = IPv6Network("2000::/3")
_NOT_PUBLIC6 = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20")]
_NAT64 = IPv6Network("64:ff9b::/96")
_SEGMENT = struct.Struct("<IIHI")
_ENTRY_BYTES = 11
# Names of a place that differ in such an end are one name.
_END = re.compile("(特别行政区|自治区|自治州|地区|[省市区州盟县府都])$")
_SAME_COUNTRY = {
    "北马其顿": "马其顿",
    "孟加拉国": "孟加拉",
    "密克罗尼西亚联邦": "密克罗尼西亚",
    "波斯尼亚和黑塞哥维那": "波黑",
    "留尼汪": "留尼旺",
    "刚果(布)": "刚果布",
    "刚果(金)": "刚果金",
}


def open_regions(jar: Path) -> Locate:
    """Return a function from an address to its country and province, out of the databases in the
    jar.
    """
    try:
        with zipfile.ZipFile(jar) as archive:
            four, six = _IPv4(archive.read(IPV4_MEMBER)), _IPv6(archive.read(IPV6_MEMBER))
    except (OSError, KeyError, zipfile.BadZipFile, struct.error) as error:
        raise VerifyError(
            f"The address databases {IPV4_MEMBER} and {IPV6_MEMBER} cannot be read from {jar}: "
            f"{error}. Set lake.ip2region_jar to net.dreamlu:mica-ip2region."
        ) from error
    names = _Names(four.texts())

    @lru_cache(maxsize=262_144)
    def locate(text: str) -> Place:
        address = _public(text)
        if address is None:
            return _NOWHERE
        place = four.place(address) if isinstance(address, IPv4Address) else six.place(address)
        return names.of(*place)

    return lambda text: locate(text) if len(text) <= _LONGEST else _NOWHERE


def _public(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address whose region counts; None where it has none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if "%" in text:
            return None
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is None:
            special = address not in _PUBLIC6 or any(address in net for net in _NOT_PUBLIC6)
            return None if special else address
        address = inner
    return None if any(address in network for network in _NOT_PUBLIC) else address


class _IPv4:
    """ip2region.xdb: sorted segments, each with length and place of its text."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        first, last = struct.unpack_from("<II", data, 8)
        self._segments = range(first, last + 1, _SEGMENT.size)

    def texts(self) -> list[str]:
        """Return every text once, as often as it stands in the file."""
        first = self._segments.start
        index = self._data[first : first + len(self._segments) * _SEGMENT.size]
        found = {(place, length) for _, _, length, place in _SEGMENT.iter_unpack(index)}
        return [self._data[place : place + length].decode() for place, length in found]

    def place(self, address: IPv4Address) -> Place:
        """Return country and province as the file has them."""
        at = bisect_right(
            self._segments, int(address), key=lambda at: _SEGMENT.unpack_from(self._data, at)[0]
        )
        _, _, length, place = _SEGMENT.unpack_from(self._data, self._segments[at - 1])
        return _xdb_place(self._data[place : place + length].decode())


def _xdb_place(text: str) -> Place:
    country, _, province, _, _ = text.split("|")
    return None if country == "0" else country, None if province == "0" else province


class _IPv6:
    """ipv6wry.db: the sorted upper halves of first addresses, each with the place of its text."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        count, index = struct.unpack_from("<QQ", data, 8)
        self._entries = range(index, index + count * _ENTRY_BYTES, _ENTRY_BYTES)

    def place(self, address: IPv6Address) -> Place:
        """Return country and province as the file has them."""
        at = bisect_right(self._entries, int(address) >> 64, key=lambda at: self._number(at, 8))
        place = self._number(self._entries[at - 1] + 8, 3)
        while self._data[place] in (1, 2):
            place = self._number(place + 1, 3)
        text = self._data[place : self._data.index(0, place)].decode()
        country, province = [*text.split("\t"), ""][:2]
        if " " in country:
            whole, part = country.split(" ")
            country, province = (whole, part) if whole == "中国" else (part, province)
        return country or None, province or None

    def _number(self, at: int, length: int) -> int:
        return int.from_bytes(self._data[at : at + length], "little")


class _Names:
    """What countries and provinces are called: as the IPv4 database calls them."""

    def __init__(self, texts: list[str]) -> None:
        places = [_xdb_place(text) for text in texts]
        self._countries = {
            country
            for country, _ in places
            if country and country != "欧洲" and not country.endswith("地区")
        }
        self._provinces: dict[Place, Counter[str]] = defaultdict(Counter)
        for country, province in places:
            if province:
                self._provinces[country, _bare(province)][province] += 1

    def of(self, country: str | None, province: str | None) -> Place:
        """Return a place in those names; a country that has none is nowhere."""
        country = _SAME_COUNTRY.get(country or "", country)
        if country not in self._countries:
            return _NOWHERE
        if province is None:
            return country, None
        same = self._provinces.get((country, _bare(province)), Counter())
        with_end = [name for name in same if name != _bare(province)]
        if not same or (province in same and len(with_end) > 1):
            return country, province
        return country, sorted(same, key=lambda name: (same[name], name))[-1]


def _bare(name: str) -> str:
    shorter = _END.sub("", name)
    return shorter if len(shorter) > 1 else name
