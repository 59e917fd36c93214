"""Accounts as the report shows them: `138****1234`, and a name that tells two masked accounts
apart.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from qimo_assets.metrics.mask import mask_account

ID_CHARACTERS = 12


@dataclass(frozen=True)
class Accounts:
    """How accounts get into the report.

    Attributes:
        masked: Whether their middle is hidden.
        key: Secret under which an account's id is made: numbers are few enough to try them all
            against a plain hash.
    """

    masked: bool
    key: bytes

    def shown(self, account: str) -> str:
        """Return the account as people see it."""
        return mask_account(account) if self.masked else account

    def identity(self, account: str) -> str:
        """Return what is the same for the same account on every day, and tells nothing of it."""
        return hmac.new(self.key, account.encode(), hashlib.sha256).hexdigest()[:ID_CHARACTERS]

    @property
    def version(self) -> str:
        """What changes when accounts would be shown otherwise than before."""
        return f"{self.masked}-{self.identity('')}"
