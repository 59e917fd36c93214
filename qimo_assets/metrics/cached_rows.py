"""Rows that the Thrift server caches for all its sessions. Their names tell since when, so that a
later run drops what a killed one left.
"""

from __future__ import annotations

import time
from uuid import uuid4

from qimo_assets.resources.hive import HiveError, HiveSession

# Longer than any run: what is older was cached by a run that was killed.
CACHE_TTL_SECONDS = 7200
# Cached rows are found again by their plan, and the plan of a view that is read anew has a listing
# of files of its own.
STORE_PLAN = "SET spark.sql.legacy.storeAnalyzedPlanForView=true"
# Where Spark has the views of all sessions.
GLOBAL = "global_temp"


def cache_rows(session: HiveSession, prefix: str, query: str) -> str:
    """Have the server cache the rows of a query, and return the name to read them by. Rows that
    were cached under such a name longer ago than any run takes are dropped.

    Args:
        session: Any session.
        prefix: What the names of such views begin with.
        query: The query.
    """
    _drop_expired(session, prefix)
    name = f"{prefix}_{int(time.time())}_{uuid4().hex[:8]}"
    session.execute(STORE_PLAN)
    session.execute(f"CREATE GLOBAL TEMPORARY VIEW {name} AS\n{query}")
    try:
        session.execute(f"CACHE TABLE {GLOBAL}.{name}")
    except HiveError:
        drop_cached(session, f"{GLOBAL}.{name}")
        raise
    return f"{GLOBAL}.{name}"


def drop_cached(session: HiveSession, name: str) -> None:
    """Have the server forget the rows that are read by this name."""
    session.execute(f"DROP VIEW IF EXISTS {name}")


def _drop_expired(session: HiveSession, prefix: str) -> None:
    for row in session.query(f"SHOW VIEWS IN {GLOBAL} LIKE '{prefix}_*'"):
        name = str(row["viewName"])
        if time.time() - int(name.split("_")[-2]) > CACHE_TTL_SECONDS:
            drop_cached(session, f"{GLOBAL}.{name}")
