"""The daily partition that every dated asset shares: a message's own day in Shanghai, the current day included."""

from __future__ import annotations

import dagster as dg

from qimo_assets.contract import TIMEZONE

daily = dg.DailyPartitionsDefinition(start_date="2021-01-01", timezone=TIMEZONE, end_offset=1)
