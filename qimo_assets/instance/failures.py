"""The edge to Dagster: an error of the platform becomes a failure with the same words."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from qimo_assets.errors import BusyError, ConfigurationError, DataLossError, QimoError

# Trying again changes nothing about these.
FINAL = (BusyError, ConfigurationError, DataLossError)


@contextmanager
def as_failure() -> Generator[None, None, None]:
    """Turn an error of the platform into Dagster's failure; for the bodies of assets and checks.

    Raises:
        dg.Failure: The block raised a `QimoError`; the description is its message.
    """
    try:
        yield
    except QimoError as error:
        raise dg.Failure(str(error), allow_retries=not isinstance(error, FINAL)) from error
