"""The chat servers' simulator behind `./qimo feed`: appends lines to log files as the chat servers
do.

It knows the contract's fields and nothing of the pipeline. What it writes is a function of the seed
and of `now`; the people (accounts, nicknames, homes, phones) are the same for every seed, so that
accounts return from feed to feed. What people and lines are drawn from stands in `tables.json`.
"""

from __future__ import annotations

from qimo_assets.simulator.feed import FILES, FeedError, FeedReport, feed
from qimo_assets.simulator.lines import MAX_TOO_LONG
from qimo_assets.simulator.times import ZONE

__all__ = ["FILES", "MAX_TOO_LONG", "ZONE", "FeedError", "FeedReport", "feed"]
