"""The independent recount behind `./qimo verify`: the source files against lake, quarantine, topic
and MySQL.

It reads the files in plain Python, and of the topic the lines of other producers, which stand in no
file. It shares nothing with the pipeline but the settings: the contract's rules, the metrics'
definitions and the reading of ip2region's databases stand here a second time, on purpose. It
changes nothing.

What stands in no file is held against another source than the pipeline's views: of `data_quality`
the rows of each day are recounted from the files, while rejected lines by day, late lines and ages
come from queries of their own on the lake's tables, and `sent_again` only as the sum over all days,
which together with the lines has to be what the topic's offsets say arrived.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from qimo_assets.settings import Settings
from qimo_assets.verify.behind import behind, is_published
from qimo_assets.verify.compare import compare
from qimo_assets.verify.errors import VerifyError
from qimo_assets.verify.lake import (
    LAKE_TABLE,
    QUARANTINE_TABLE,
    LakeAnswer,
    lake_answer,
    newest_commits,
    read_lake,
)
from qimo_assets.verify.line import ZONE
from qimo_assets.verify.metrics import METRICS, Table, masked
from qimo_assets.verify.published import (
    instants,
    metric_tables,
    progress,
    read_metrics,
    read_progress,
)
from qimo_assets.verify.recount import Recount, SourceFile, recount
from qimo_assets.verify.report import Verification, render
from qimo_assets.verify.topic import count_arrivals, plain_lines, topic_starts

__all__ = [
    "LAKE_TABLE",
    "METRICS",
    "QUARANTINE_TABLE",
    "LakeAnswer",
    "Recount",
    "SourceFile",
    "Table",
    "Verification",
    "VerifyError",
    "behind",
    "compare",
    "count_arrivals",
    "instants",
    "is_published",
    "lake_answer",
    "metric_tables",
    "newest_commits",
    "progress",
    "read_lake",
    "read_metrics",
    "read_progress",
    "recount",
    "render",
    "verify",
]


def verify(settings: Settings) -> Verification:
    """Recount the source files and compare them with topic, lake, quarantine and the published
    metrics.

    Args:
        settings: Where everything is.

    Returns:
        The answer, with every difference named.

    Raises:
        VerifyError: A system cannot be read.
    """
    lake = read_lake(settings)
    arrivals = count_arrivals(settings.kafka)
    ranges = lake.plain_ranges()
    starts = topic_starts(settings.kafka, ranges)
    deleted = {of for of, (_, first, _) in lake.plain.items() if first < starts[of[0]]}
    counted = recount(
        settings,
        datetime.now(ZONE),
        lake.rejected_ahead,
        plain_lines(settings.kafka, ranges),
        deleted,
    )
    if settings.mysql.mask_accounts:
        counted = replace(
            counted, tables={name: masked(name, table) for name, table in counted.tables.items()}
        )
    return compare(counted, lake, arrivals, read_metrics(settings.mysql), deleted)
