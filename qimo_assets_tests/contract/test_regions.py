"""Regions of addresses: the look-up in bulk against the recount's own reading, over the real
databases.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from random import Random

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from qimo_assets.lake.ip2region import IPV6_DATABASE, load
from qimo_assets.lake.parse import REGION_PARTS
from qimo_assets.lake.regions import look_up, table
from qimo_assets.simulator.tables import TABLES
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import current_layout
from qimo_assets.verify.regions import open_regions

[JAR] = class_path(current_layout(), "ip2region")
BEIJING = ("中国", "北京", "北京市")
TSINGHUA = "166.111.4.100"
NOWHERE = (None, None, None)

PLACES = {
    "114.114.114.114": ("中国", "江苏省", "南京市"),
    "8.8.8.8": ("美国", None, None),
    TSINGHUA: BEIJING,
    # The three carriers, by province.
    "240e:3a1:4c2::5f": ("中国", "江苏省", "南京市"),
    "2409:8920::1": ("中国", "江苏省", "南京市"),
    "2408:8206::1": BEIJING,
    # The education network, a cloud, and the names of what is not called a province.
    "2001:da8:200::1": ("中国", "北京", None),
    "2400:3200::1": ("中国", "浙江省", "杭州市"),
    "2404:c800::1": ("中国", "香港", None),
    "2001:b011:1::1": ("中国", "台湾省", "台北"),
    # The IPv4 address in it.
    **dict.fromkeys(
        [
            f"::ffff:{TSINGHUA}",
            "::FFFF:A66F:464",
            "0:0:0:0:0:ffff:a66f:0464",
            f"64:ff9b::{TSINGHUA}",
            "2002:a66f:464::1",
            "2001:0:53aa:64c:0:0:5990:fb9b",
        ],
        BEIJING,
    ),
    # A country is none: everywhere, and a registry's area.
    **dict.fromkeys(["2001:4860:4860::8888", "2800::1"], NOWHERE),
}
NO_PLACE = [
    *(None, "", "x", "1.2.3", "1:2:3", "g::1"),
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.1"),
    *("192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", f"::{TSINGHUA}", "::ffff:0:1", "fe80::1"),
    *("fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "2001:2::1", "2001:20::1", "3fff::1"),
    *("100::1", "4000::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b:1::1", "fec0::1"),
    *("2002:a00:1::1", "::ffff:192.168.1.1", "2001:0:53aa:64c:0:0:f5ff:fffe"),
]


def test_known_places_and_what_has_none() -> None:
    addresses = [*PLACES, *NO_PLACE]
    found = look_up(pl.Series(addresses), JAR).rows()
    assert dict(zip(PLACES, found, strict=False)) == PLACES
    assert set(found[len(PLACES) :]) == {NOWHERE}


def test_a_column_may_be_of_polars_pandas_or_arrow() -> None:
    addresses = [*PLACES, *NO_PLACE]
    expected = look_up(pl.Series(addresses), JAR)
    assert expected.columns == list(REGION_PARTS)
    for column in (
        pd.Series(addresses),
        pa.array(addresses, pa.string()),
        pa.chunked_array([addresses[:3], addresses[3:]], pa.large_string()),
    ):
        assert look_up(column, JAR).equals(expected)
    assert look_up(pl.Series([], dtype=pl.String), JAR).shape == (0, 3)
    assert look_up(pl.Series([None, None]), JAR).rows() == [NOWHERE, NOWHERE]


def test_the_recount_finds_every_segment_and_its_neighbours_in_the_same_place() -> None:
    locate = open_regions(JAR)
    with zipfile.ZipFile(JAR) as archive:
        data = archive.read(IPV6_DATABASE)
    count, index = struct.unpack_from("<QQ", data, 8)
    random = Random(1)
    entries = random.sample(range(count), 5_000)
    uppers = [
        int.from_bytes(data[at : at + 8], "little") for at in (index + 11 * e for e in entries)
    ]
    sixes = [
        str(IPv6Address((upper + step) % 2**64 << 64 | random.randrange(2**64)))
        for upper in uppers
        for step in (0, -1)
    ]
    starts = load(str(JAR)).starts[:600_000:60].tolist()
    fours = [str(IPv4Address((start + step) % 2**32)) for start in starts for step in (0, -1)]
    for addresses in (sixes, fours):
        found = look_up(pl.Series(addresses), JAR).rows()
        assert {address: place[:2] for address, place in zip(addresses, found, strict=True)} == {
            address: locate(address) for address in addresses
        }
        assert len({place for place in found if place[0]}) > 500
    assert {address: locate(address) for address in NO_PLACE if address} == {
        address: (None, None) for address in NO_PLACE if address
    }


def test_the_simulators_people_live_where_their_addresses_are() -> None:
    for place in TABLES["places"]:
        old = [f"{network}.7.7" for network in place["ipv4"]]
        new = [f"{prefix}::1" for prefixes in place.get("ipv6", {}).values() for prefix in prefixes]
        provinces = look_up(pl.Series(old), JAR)["province"].drop_nulls().mode().to_list()
        assert set(look_up(pl.Series(new, dtype=pl.String), JAR)["province"]) <= set(provinces)


def test_a_province_has_one_name() -> None:
    provinces = set(table(str(JAR)).filter(country="中国")["province"].drop_nulls())
    assert len(provinces) == 34
    assert {"北京", "广东省", "内蒙古", "新疆", "香港", "台湾省"} < provinces


@pytest.mark.parametrize(
    "form",
    [
        lambda address: address.exploded,
        lambda address: address.exploded.upper(),
        lambda address: address.compressed,
        lambda address: (
            ":".join(address.exploded.split(":")[:6])
            + f":{IPv4Address(int(address) & 0xFFFF_FFFF)}"
        ),
    ],
)
def test_every_way_to_write_an_address_is_the_same_address(
    form: Callable[[IPv6Address], str],
) -> None:
    random = Random(2)
    addresses = [
        IPv6Address(int("24080000", 16) << 96 | random.getrandbits(24) << 88 | low << shift)
        for low, shift in (
            (random.getrandbits(16), random.choice((0, 16, 48, 64))) for _ in range(500)
        )
    ]
    written = look_up(pl.Series(map(form, addresses)), JAR)
    assert written.equals(look_up(pl.Series([a.exploded for a in addresses]), JAR))
