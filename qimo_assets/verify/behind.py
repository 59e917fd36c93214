"""Whether MySQL shows each day as of the newest commit that wrote a row of it: cheap beside a
recount, so that who waits for one knows when it pays.
"""

from __future__ import annotations

from collections.abc import Mapping

from qimo_assets.settings import Settings
from qimo_assets.verify.lake import LAKE_TABLE, QUARANTINE_TABLE, read_newest_commits
from qimo_assets.verify.metrics import METRICS, QUALITY
from qimo_assets.verify.published import read_instants


def is_published(settings: Settings) -> bool:
    """Return whether no metric's day is older than the rows of that day.

    A metric that looks at other days too may still be behind these.

    Raises:
        VerifyError: A system cannot be read.
    """
    return not behind(read_newest_commits(settings), read_instants(settings.mysql))


def behind(
    newest: Mapping[str, Mapping[str, str]], instants: Mapping[tuple[str, str], str]
) -> set[tuple[str, str]]:
    """Return the metrics and days that are older than their rows.

    Args:
        newest: Table of the lake -> day -> newest commit.
        instants: Metric and day -> commit that it was published as of.
    """
    return {
        (metric, day)
        for metric in METRICS
        for table in (LAKE_TABLE, *((QUARANTINE_TABLE,) if metric == QUALITY else ()))
        for day, commit in newest.get(table, {}).items()
        if instants.get((metric, day), "") < commit
    }
