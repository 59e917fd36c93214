"""The region of an address, out of ip2region's database, read a second time and one by one."""

from __future__ import annotations

import struct
import zipfile
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from qimo_assets.verify.errors import VerifyError

IP2REGION_MEMBER = "ip2region/ip2region.xdb"
_LONGEST_IPV4 = 15

Locate = Callable[[str], tuple[str | None, str | None]]


def open_regions(jar: Path) -> Locate:
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
