"""Dagster's storage takes what Dagster writes: serialized objects of more than the 65,535 bytes of
MySQL's TEXT.
"""

from __future__ import annotations

from qimo_assets.instance.storage import BODIES
from qimo_assets.stack.health import mysql_connection
from qimo_assets_tests.conftest import Stack


def test_no_serialized_object_is_too_long(stack: Stack) -> None:
    with mysql_connection(stack.layout(), "dagster") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'dagster'"
        )
        types = {(table, column): kind for table, column, kind in cursor.fetchall()}
        assert {types[place] for place in BODIES.items()} == {"longtext"}
        # One evaluation of a metric at midnight was longer than TEXT.
        cursor.execute(
            "INSERT INTO dagster.asset_daemon_asset_evaluations (evaluation_id, asset_key, "
            "asset_evaluation_body) VALUES (0, 'test', repeat('x', 70000))"
        )
        connection.rollback()
