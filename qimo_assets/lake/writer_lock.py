"""One writer at a time: a named lock in MySQL that lives as long as its connection.

A lock that a dead process cannot keep needs no clean-up and no time-out. While MySQL is away the
holder goes on, and nobody else can begin. Should another begin before the holder has asked MySQL
again, the holder is stopped by its epoch (`epoch.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack

from qimo_assets.errors import BusyError
from qimo_assets.resources.mysql import MySQLError, MySQLResource

logger = logging.getLogger(__name__)

# For so long an answer of MySQL counts; and for so long nobody asks again where it is away.
CONFIRMED_SECONDS, AWAY_SECONDS = 1.0, 15.0


class WriterLockHeld(BusyError):
    """Another process writes the lake."""


def is_held(mysql: MySQLResource, database: str) -> bool:
    """Return whether anybody writes the tables of this lake database.

    Raises:
        MySQLError: MySQL cannot be reached.
    """
    with mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT IS_USED_LOCK(%s)", (_name(database),))
        return cursor.fetchone() != (None,)


def _name(database: str) -> str:
    return f"qimo.{database}.writer"


class WriterLock:
    """The right to write the tables of one lake database."""

    def __init__(self, mysql: MySQLResource, database: str) -> None:
        self._mysql = mysql
        self._name = _name(database)
        self._stack = ExitStack()
        self._connection = None
        self._asking = threading.Lock()
        self._counts_until = 0.0

    def __enter__(self) -> WriterLock:
        self._acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self) -> None:
        """Make sure that nobody else has taken the lock; any thread may ask, before each write.

        Raises:
            WriterLockHeld: Somebody else took it meanwhile; this writer has to stop.
        """
        with self._asking:
            if time.monotonic() < self._counts_until:
                return
            self.renew()
            counts = AWAY_SECONDS if self._connection is None else CONFIRMED_SECONDS
            self._counts_until = time.monotonic() + counts

    def renew(self) -> None:
        """Make sure that the lock is still held, and take it again after MySQL was away.

        Raises:
            WriterLockHeld: Somebody else took it meanwhile; this writer has to stop.
        """
        try:
            held = self._connection is not None and self._ask(
                "SELECT IS_USED_LOCK(%s) = CONNECTION_ID()"
            )
        except Exception as error:  # noqa: BLE001  # the driver has many; each means that the connection, and so the lock, is gone
            logger.warning("The writer's lock is not confirmed: %s", error)
            held = False
        if not held:
            self._stack.close()
            self._connection = None
            try:
                self._acquire()
            except MySQLError as error:
                logger.warning("The writer's lock waits for MySQL: %s", error)

    def _acquire(self) -> None:
        self._connection = self._stack.enter_context(self._mysql.connect())
        if not self._ask("SELECT GET_LOCK(%s, 0)"):
            self._stack.close()
            self._connection = None
            raise WriterLockHeld(
                f"Another run writes the lake (MySQL lock {self._name}); two writers are "
                "never let in at once."
            )

    def _ask(self, statement: str) -> bool:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute(statement, (self._name,))
            row = cursor.fetchone()
        return bool(row and row[0])  # pyright: ignore[reportArgumentType, reportIndexIssue, reportCallIssue]  # the stub's row may be a dict
