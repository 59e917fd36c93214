"""The one family of errors that the platform raises on purpose.

Each message says in one piece what failed, why, and what to do. The command prints it as it is; an
asset or a sensor turns it into Dagster's own failure, nothing before does. Who has to tell kinds
apart asks for the type, never for words of the message.
"""

from __future__ import annotations


class QimoError(Exception):
    """Something failed in a way that the platform knows; the message says what to do."""


class ConfigurationError(QimoError):
    """A setting, a file or an argument is missing or wrong; trying again changes nothing."""


class UnreachableError(QimoError):
    """A system gives no answer; trying again may help."""


class RefusedError(QimoError):
    """A system answered, and does not do what it was asked."""


class DataLossError(QimoError):
    """Lines are gone, or would be passed over; a person has to decide."""


class BusyError(QimoError):
    """Another process does what may be done once at a time."""
