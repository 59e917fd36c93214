"""What every reading of a system shares: how it asks, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Callable

from qimo_assets.errors import UnreachableError
from qimo_assets.verify.metrics import Row

Ask = Callable[[str], list[Row]]


class VerifyError(UnreachableError):
    """Something that has to be read cannot be read; the message says what and what to do."""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
