"""The one error that the stack raises."""

from __future__ import annotations

from qimo_assets.errors import QimoError


class StackError(QimoError):
    """A part of the stack cannot be installed, started or reached; the message says why and what to
    do.
    """
