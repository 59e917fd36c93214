"""Country, province and city of IP addresses, offline and in bulk: a column of addresses is looked
up by one binary search over all of them.

Which addresses have no region, and which are looked up as another one:

- Private, shared (100.64.0.0/10), link-local, loopback, documentation, benchmark, multicast and
  reserved ranges of either kind have none, whatever the databases say of them.
- An IPv4-mapped address (`::ffff:a.b.c.d`), one of NAT64 (`64:ff9b::a.b.c.d`), of 6to4
  (`2002::/16`) and of Teredo (`2001::/32`, the client's address) is the IPv4 address in it.
- What is no country has no region: `全球`, IANA's ranges, and a registry's area (`亚太地区`).
"""

from __future__ import annotations

import gc
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipimport import zipimporter

import numpy as np
import polars as pl

from qimo_assets.lake import ip2region
from qimo_assets.lake.ip2region import FIRST_IPV6, NO_ADDRESS
from qimo_assets.lake.parse import REGION_PARTS


def look_up(addresses: Any, jar: Path | str) -> pl.DataFrame:
    """Return the regions of a column of addresses.

    Args:
        addresses: Texts by the contract, IPv4 or IPv6, or nothing: a column of polars, pandas or
            pyarrow.
        jar: The jar that holds the databases.

    Returns:
        Columns country, province and city, one row an address; NULL where nothing is known.
    """
    starts, places, _ = ip2region.load(str(jar))
    keys = _keys(pl.Series(addresses, dtype=pl.String))
    return table(str(jar))[places[np.searchsorted(starts, keys, side="right") - 1]]


@lru_cache(maxsize=2)
def table(jar: str) -> pl.DataFrame:
    """Return the regions of a jar: country, province and city."""
    regions = ip2region.load(jar).table
    _lighten_each_task()
    return pl.DataFrame(regions, schema=list(REGION_PARTS), orient="row")


# --- from text to number


def _keys(text: pl.Series) -> np.ndarray:
    """Return what each address is looked up by; NO_ADDRESS where there is none."""
    is_ipv6 = text.str.contains(":", literal=True).fill_null(False)
    keys = np.full(len(text), NO_ADDRESS, dtype=np.uint64)
    keys[(~is_ipv6).to_numpy()] = _ipv4_numbers(text.filter(~is_ipv6))
    if is_ipv6.any():
        keys[is_ipv6.to_numpy()] = _ipv6_keys(text.filter(is_ipv6))
    return keys


def _ipv4_numbers(text: pl.Series) -> np.ndarray:
    octets = text.str.split_exact(".", 3).struct.unnest().cast(pl.UInt64, strict=False)
    number = octets.select(
        pl.fold(pl.lit(0, pl.UInt64), lambda so_far, octet: so_far * 256 + octet, pl.all())
    ).to_series()
    return number.fill_null(NO_ADDRESS).to_numpy()


def _ipv6_keys(text: pl.Series) -> np.ndarray:
    """Return the upper halves, or the IPv4 addresses that the IPv6 addresses stand for."""
    dotted = text.str.extract(r":(\d+\.\d+\.\d+\.\d+)$")
    groups = _groups(text.str.replace(r":\d+\.\d+\.\d+\.\d+$", ":0:0"))
    upper, lower = (
        groups[:, at] << 48 | groups[:, at + 1] << 32 | groups[:, at + 2] << 16 | groups[:, at + 3]
        for at in (0, 4)
    )
    if dotted.is_not_null().any():
        lower |= np.where(dotted.is_null().to_numpy(), 0, _ipv4_numbers(dotted)).astype(np.uint64)
    last = lower & 0xFFFF_FFFF
    mapped = (upper == 0) & (lower >> 32 == 0xFFFF)
    nat64 = (upper == 0x0064_FF9B_0000_0000) & (lower >> 32 == 0)
    six_to_four = upper >> 48 == 0x2002
    teredo = upper >> 32 == 0x2001_0000
    # What else lies below the first IPv6 key would be taken for an IPv4 address.
    reserved = upper < FIRST_IPV6
    return np.select(
        [mapped | nat64, six_to_four, teredo, reserved],
        [last, upper >> 16 & 0xFFFF_FFFF, last ^ 0xFFFF_FFFF, np.uint64(NO_ADDRESS)],
        upper,
    ).astype(np.uint64)


def _groups(text: pl.Series) -> np.ndarray:
    """Return the eight groups of each address, `::` filled up with zeros; ones throughout where the
    text is none.
    """
    missing = 8 - text.str.count_matches("[0-9a-fA-F]+")
    zeros = pl.Series([":" + "0:" * count for count in range(9)])[missing.clip(0, 8)]
    halves = text.str.split_exact("::", 1).struct.unnest()
    whole = pl.select(
        pl.when(text.str.contains("::", literal=True))
        .then(halves["field_0"] + zeros + halves["field_1"])
        .otherwise(text)
    ).to_series()
    groups = whole.str.strip_chars(":").str.split_exact(":", 7).struct.unnest()
    numbers = groups.select(pl.all().str.to_integer(base=16, dtype=pl.UInt64, strict=False))
    is_none = numbers.select(pl.any_horizontal(pl.all().is_null())).to_series()
    return np.where(is_none.to_numpy()[:, None], np.uint64(0xFFFF), numbers.fill_null(0).to_numpy())


def _lighten_each_task() -> None:
    """Spare a Python worker of Spark what it does anew for each task and needs once.

    It has the importers of Spark's jars and zips read all their entries again, 90 ms of a
    processor, and looks for garbage among all that was loaded, 17 ms; the look-up of 1,000
    addresses takes 6 ms.
    """
    for place, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[place]
    gc.freeze()
