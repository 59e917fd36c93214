"""What a run of the lake is asked for."""

from enum import Enum


class Mode(str, Enum):
    """What a run writes, and how long it goes on."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    REPLAY = "replay"
