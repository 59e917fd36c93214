"""Country, province and city of an IP address, out of ip2region's database, offline and in bulk.

The database's sorted segments become one array; an Arrow batch of addresses is looked up by one
binary search over all of them (numpy.searchsorted). IPv6 addresses have no region here: the
database holds IPv4 only.
"""

from __future__ import annotations

import gc
import sys
import zipfile
from functools import lru_cache
from pathlib import Path
from zipimport import zipimporter

import numpy as np
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import StringType, StructField, StructType

DATABASE = "ip2region/ip2region.xdb"
# xdb structure 2.0 (lionsoul2014/ip2region, binding/golang/xdb/maker.go): bytes 8 to 16 of the
# header give the first and the last entry of the index; an entry is start, end, and length and
# place of the region's text.
HEADER_INDEX = slice(8, 16)
SEGMENT = np.dtype([("start", "<u4"), ("end", "<u4"), ("length", "<u2"), ("place", "<u4")])
PARTS: list[str] = ["country", "province", "city"]
REGION_TYPE = StructType([StructField(part, StringType()) for part in PARTS])


@lru_cache(maxsize=2)
def load(jar: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the segments' first addresses, sorted, and the region of each; one more region at the
    end is that of no address.
    """
    with zipfile.ZipFile(Path(jar)) as archive:
        data = archive.read(DATABASE)
    first, last = np.frombuffer(data[HEADER_INDEX], "<u4")
    segments = np.frombuffer(data[first : last + SEGMENT.itemsize], SEGMENT)
    places, which = np.unique(segments["place"], return_inverse=True)
    lengths = np.zeros(len(places), dtype=int)
    lengths[which] = segments["length"]
    regions = [
        _region(data[place : place + length]) for place, length in zip(places, lengths, strict=True)
    ]
    table = pd.DataFrame([*regions, [None] * len(PARTS)], columns=pd.Index(PARTS), dtype=object)
    _lighten_each_task()
    return segments["start"].astype(np.int64), table.iloc[
        np.append(which, len(regions))
    ].reset_index(drop=True)


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


def _region(text: bytes) -> list[str | None]:
    # country|area|province|city|provider, "0" for what is not known; a private network has a city
    # and no country.
    country, _, province, city, _ = text.decode().split("|")
    return (
        [None, None, None]
        if country == "0"
        else [None if part == "0" else part for part in (country, province, city)]
    )


def region_of(address: Column, jar: Path) -> Column:
    """Return the struct (country, province, city) of an IPv4 address given as text; its parts are
    NULL where nothing is known.
    """
    location = str(jar)

    def look_up(numbers: pd.Series) -> pd.DataFrame:
        starts, regions = load(location)
        # A missing address comes before all others, so that its place is -1: the last region, which
        # is none.
        places = (
            np.searchsorted(starts, numbers.fillna(-1).to_numpy(dtype=np.int64), side="right") - 1
        )
        return regions.iloc[places].reset_index(drop=True)

    return pandas_udf(look_up, REGION_TYPE)(_number(address))  # pyright: ignore[reportCallIssue, reportArgumentType]  # stubs know no struct result


def _number(address: Column) -> Column:
    octets = F.split(address, r"\.")
    number = (
        octets[0].cast("long") * (1 << 24)
        + octets[1].cast("long") * (1 << 16)
        + octets[2].cast("long") * (1 << 8)
        + octets[3].cast("long")
    )
    return F.when(~address.contains(":"), number)
