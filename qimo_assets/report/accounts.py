"""Accounts as the report shows them: `138****1234`, and a name that tells two masked accounts apart."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

HIDDEN = "****"
ID_CHARACTERS = 12


def mask(account: str) -> str:
    """Return an account with its middle hidden: at most three characters at its head and four at its tail are shown, and never more than half of it.

    A telephone number of eleven digits, which accounts are, keeps both in full; to mask twice changes nothing.
    """
    length = len(account)
    head, tail = min(3, length // 3), min(4, max(0, length // 2 - 1))
    return account[:head] + HIDDEN + account[length - tail :]


@dataclass(frozen=True)
class Accounts:
    """How accounts get into the report.

    Attributes:
        masked: Whether their middle is hidden.
        key: Secret under which an account's id is made: numbers are few enough to try them all against a plain hash.
    """

    masked: bool
    key: bytes

    def shown(self, account: str) -> str:
        """Return the account as people see it."""
        return mask(account) if self.masked else account

    def identity(self, account: str) -> str:
        """Return what is the same for the same account on every day, and tells nothing of it."""
        return hmac.new(self.key, account.encode(), hashlib.sha256).hexdigest()[:ID_CHARACTERS]

    @property
    def version(self) -> str:
        """What changes when accounts would be shown otherwise than before."""
        return f"{self.masked}-{self.identity('')}"
