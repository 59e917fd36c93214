"""Runs that count the same days take turns: the second finds counted what the first has counted.

For speed alone. A run that waits too long goes on, and that nothing counts twice is decided in
links.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from mysql.connector.abstracts import MySQLConnectionAbstract

from qimo_assets.resources.mysql import MySQLResource

logger = logging.getLogger(__name__)

# A refresh takes seconds; who counts for longer counts a day from the beginning, or many.
WAIT_SECONDS = 60


@contextmanager
def turn(
    mysql: MySQLResource, database: str, days: Iterable[str], wait_seconds: float = WAIT_SECONDS
) -> Generator[None, None, None]:
    """Wait until no other run counts one of these days, at most so long, and have others wait until
    the end.

    Args:
        mysql: Keeps the locks, for as long as the connection.
        database: Hive database of the tables and views.
        days: The days.
        wait_seconds: How long.

    Raises:
        MySQLError: The server cannot be reached.
    """
    deadline = time.monotonic() + wait_seconds
    with mysql.connect() as connection:
        # All runs take them in the same order, so that no two wait for each other.
        waited = [
            day
            for day in sorted(days)
            if not _take(connection, f"qimo.{database}.figures.{day}", deadline)
        ]
        if waited:
            logger.info("Another run still counts %s; this one goes on", ", ".join(waited))
        yield


def _take(connection: MySQLConnectionAbstract, name: str, deadline: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, %s)", (name, max(deadline - time.monotonic(), 0)))
        return cursor.fetchone() == (1,)
