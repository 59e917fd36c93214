"""The views as assets: materializing one creates it, or replaces it when its SQL changed."""

import hashlib
from typing import Any

import dagster as dg

from qimo_assets.automation.conditions import view_condition
from qimo_assets.columns import column_schema
from qimo_assets.resources.hive import HiveResource
from qimo_assets.views.sql import (
    SNAPSHOT,
    declared_columns,
    lake_tables,
    reads,
    view_description,
    view_names,
    view_statement,
)


def view_key(name: str) -> dg.AssetKey:
    """Return the asset key of a view."""
    return dg.AssetKey(["hive", name])


def lake_keys(name: str) -> list[dg.AssetKey]:
    """Return the asset keys of the lake's tables that a view reads, directly or through other
    views.
    """
    return [dg.AssetKey(["hudi", table]) for table in lake_tables(name)]


def build_view_assets(database: str) -> list[dg.AssetsDefinition]:
    """Return one asset per view.

    Args:
        database: Hive database of the tables and views.
    """
    return [_view_asset(name, database) for name in view_names()]


def _view_asset(name: str, database: str) -> dg.AssetsDefinition:
    statement = view_statement(name, database)
    deps = [_source_key(source) for source in reads(name)]
    sql = dg.MetadataValue.md(f"```sql\n{statement}\n```")

    @dg.asset(
        key=view_key(name),
        deps=deps,
        group_name="views",
        kinds={"hive", "sql"},
        owners=["team:data"],
        description=view_description(name),
        metadata={
            "sql": sql,
            "dagster/table_name": f"{database}.{name}",
            **column_schema(declared_columns(statement)),
        },
        code_version=hashlib.sha256(statement.encode()).hexdigest()[:16],
        automation_condition=view_condition(deps),
    )
    def view(hive: HiveResource) -> dg.MaterializeResult[Any]:
        with hive.session() as session:
            session.execute(statement)
        return dg.MaterializeResult(metadata={"sql": sql})

    return view


def _source_key(source: str) -> dg.AssetKey:
    return (
        view_key(source)
        if source in view_names()
        else dg.AssetKey(["hudi", source.removesuffix(SNAPSHOT)])
    )
