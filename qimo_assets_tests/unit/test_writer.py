"""What the metastore is told of."""

from __future__ import annotations

from pathlib import Path

from qimo_assets.lake.tables import MESSAGE, QUARANTINE
from qimo_assets.lake.write import TableWriter
from qimo_assets.settings import LakeSettings

TODAY = "2024-05-06"


def test_the_metastore_hears_once_of_a_table_and_of_each_day() -> None:
    lake = LakeSettings(
        warehouse="file:/w",
        checkpoint="file:/c",
        metastore_uris="thrift://m:9083",
        ip2region_jar=Path("ip2region.jar"),
    )
    writer = TableWriter(lake)
    # The first commit of a run, without a rejected line of today; then with one, and with another.
    assert writer.sync(QUARANTINE, set())
    writer.synced[QUARANTINE.name] = set()
    assert writer.sync(QUARANTINE, {TODAY})
    writer.synced[QUARANTINE.name] = {TODAY}
    assert not writer.sync(QUARANTINE, {TODAY})
    assert writer.sync(MESSAGE, {TODAY})
    assert writer.sync(QUARANTINE, {TODAY, "2024-05-07"})
