"""Waiting until the lines under way have arrived at every station, then the recount."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from qimo_assets import verify
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import Settings
from qimo_assets.source.files import log_files
from qimo_assets.timeouts import VERIFY_STALLED_SECONDS

POLL_SECONDS = 1
# What MySQL does not show by then, such as a metric that fails, is told by the recount.
QUIET_SECONDS = 30
# How far the lines have come at each station, and what changes with every publication.
Progress = tuple[dict[str, int], str]


def wait_until_verified(settings: Settings, say: Callable[[str], None]) -> verify.Verification:
    """Wait until what is under way has arrived everywhere, then verify; give the answer as it is
    when nothing moves any more.

    Args:
        settings: Where everything is.
        say: Is told how far the lines are, each time that they have moved.

    Raises:
        VerifyError: A system cannot be read.
    """
    seen: Progress = {}, ""
    asked = recounted = None
    moved = time.monotonic()
    while True:
        now = _progress(settings)
        if now[0] != seen[0]:
            say(" · ".join(f"{name} {count:,}" for name, count in now[0].items()))
        if now != seen:
            seen, moved = now, time.monotonic()
        still = time.monotonic() - moved
        is_due = _has_arrived(now[0]) and recounted != now
        # A recount costs seconds of a processor: it waits for figures that can be right.
        if is_due and still <= QUIET_SECONDS:
            is_due, asked = asked != now and verify.is_published(settings), now
        stalled = still > VERIFY_STALLED_SECONDS
        if is_due or stalled:
            recounted = now
            if (verification := verify.verify(settings)).ok or stalled:
                return verification
        time.sleep(POLL_SECONDS)


def _has_arrived(counts: Mapping[str, int]) -> bool:
    return not counts["bytes unread"] and counts["topic"] == counts["in the lake"]


def _progress(settings: Settings) -> Progress:
    partitions = KafkaResource.from_settings(settings.kafka).state()
    messages, state = verify.read_progress(settings.mysql)
    counts = {
        "bytes unread": sum(file.unread for file in log_files(settings.source)),
        "topic": sum(partition.high for partition in partitions),
        "in the lake": sum(partition.progress or 0 for partition in partitions),
        "in MySQL": messages,
    }
    return counts, state
