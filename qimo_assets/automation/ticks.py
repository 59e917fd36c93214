"""How often a sensor ticks."""

from __future__ import annotations

# A tick may take as much of the five seconds between two looks of Dagster's daemon.
EARLY_SECONDS = 2


def each(seconds: int) -> int:
    """Return the minimum interval of a sensor that ticks each so many seconds, a multiple of five.

    The daemon looks each five seconds. An interval of just as long is a moment too long at the look
    that should end it, and the sensor waits for the next one.
    """
    return seconds - EARLY_SECONDS
