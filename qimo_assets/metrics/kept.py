"""Rows that the server keeps for all its sessions, under names that tell since when, so that what a
killed run left is dropped by a later one.
"""

from __future__ import annotations

import time
from uuid import uuid4

from qimo_assets.resources.hive import HiveError, HiveSession

# Longer than any run: what is left from before was kept by a run that was killed.
LEFT_SECONDS = 7200
# What is kept is found again by its plan, and the plan of a view that is read anew has a listing of
# files of its own.
KEEP_PLAN = "SET spark.sql.legacy.storeAnalyzedPlanForView=true"
# Where Spark has the views of all sessions.
EVERYWHERE = "global_temp"


def keep(session: HiveSession, prefix: str, query: str) -> str:
    """Have the server keep the rows of a query, and return the name to read them by.

    Args:
        session: Any session.
        prefix: What the names of such rows begin with.
        query: The query.
    """
    name = f"{prefix}_{int(time.time())}_{uuid4().hex[:8]}"
    session.execute(KEEP_PLAN)
    session.execute(f"CREATE GLOBAL TEMPORARY VIEW {name} AS\n{query}")
    try:
        session.execute(f"CACHE TABLE {EVERYWHERE}.{name}")
    except HiveError:
        drop(session, f"{EVERYWHERE}.{name}")
        raise
    return f"{EVERYWHERE}.{name}"


def drop(session: HiveSession, name: str) -> None:
    """Have the server keep no longer what is read by this name."""
    session.execute(f"DROP VIEW IF EXISTS {name}")


def drop_what_was_left(session: HiveSession, prefix: str) -> None:
    """Drop what has been kept for longer than any run takes.

    Args:
        session: Any session.
        prefix: What its names begin with.
    """
    for row in session.query(f"SHOW VIEWS IN {EVERYWHERE} LIKE '{prefix}_*'"):
        name = str(row["viewName"])
        if time.time() - int(name.split("_")[-2]) > LEFT_SECONDS:
            drop(session, f"{EVERYWHERE}.{name}")
