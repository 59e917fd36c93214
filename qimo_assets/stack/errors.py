"""The one error that the stack raises."""

from __future__ import annotations


class StackError(Exception):
    """A part of the stack cannot be installed, started or reached; the message says why and what to
    do.
    """
