"""The daily partition that every dated asset shares: a message's own day in Shanghai, from
`lake.first_day` on, the current day included; and windows of days.
"""

from __future__ import annotations

import dagster as dg

from qimo_assets.contract import TIMEZONE
from qimo_assets.settings import LakeSettings, SettingsError, load_settings


def _first_day() -> str:
    try:
        return str(load_settings().lake.first_day)
    except SettingsError:
        # Whoever needs the other settings says which of them are missing.
        return str(LakeSettings.model_fields["first_day"].default)


daily = dg.DailyPartitionsDefinition(start_date=_first_day(), timezone=TIMEZONE, end_offset=1)


def window(looks_back: int = 0, looks_ahead: int = 0) -> dg.TimeWindowPartitionMapping:
    """Return the days from which a day is made; days before the first one and after today are left
    out.

    Args:
        looks_back: Days before its own.
        looks_ahead: Days after its own.
    """
    return dg.TimeWindowPartitionMapping(
        start_offset=-looks_back, end_offset=looks_ahead, allow_nonexistent_upstream_partitions=True
    )
