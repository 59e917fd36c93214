"""Hiding accounts from readers who need figures, not people."""

MASK = "****"
SHOWN_FIRST, SHOWN_LAST = 3, 4


def mask_account(account: str) -> str:
    """Return an account with its middle hidden: 138****1234; of one too short for that only the
    first character is left.
    """
    if len(account) <= SHOWN_FIRST + SHOWN_LAST:
        return account[:1] + MASK
    return account[:SHOWN_FIRST] + MASK + account[-SHOWN_LAST:]
