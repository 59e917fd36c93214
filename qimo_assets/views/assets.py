"""The views as assets: materializing one creates it, or replaces it when its SQL changed."""

import hashlib

import dagster as dg

from qimo_assets.automation import MESSAGES, view_condition
from qimo_assets.lake.assets import QUARANTINED
from qimo_assets.resources.hive import HiveResource
from qimo_assets.views.sql import MESSAGE_VIEW, QUARANTINE_VIEW, view_description, view_names, view_statement

# The views that read tables; each other view reads v_message.
READS = {MESSAGE_VIEW: [MESSAGES], QUARANTINE_VIEW: [QUARANTINED, MESSAGES]}


def view_key(name: str) -> dg.AssetKey:
    """Return the asset key of a view."""
    return dg.AssetKey(["hive", name])


def build_view_assets(database: str) -> list[dg.AssetsDefinition]:
    """Return one asset per view.

    Args:
        database: Hive database of the tables and views.
    """
    return [_view_asset(name, database) for name in view_names()]


def _view_asset(name: str, database: str) -> dg.AssetsDefinition:
    statement = view_statement(name, database)
    deps = READS.get(name) or [view_key(MESSAGE_VIEW)]
    sql = dg.MetadataValue.md(f"```sql\n{statement}\n```")

    @dg.asset(
        key=view_key(name),
        deps=deps,
        group_name="views",
        kinds={"hive", "sql"},
        owners=["team:data"],
        description=view_description(name),
        metadata={"sql": sql, "dagster/table_name": f"{database}.{name}"},
        code_version=hashlib.sha256(statement.encode()).hexdigest()[:16],
        automation_condition=view_condition(deps),
    )
    def view(hive: HiveResource) -> dg.MaterializeResult:
        with hive.session() as session:
            session.execute(statement)
        return dg.MaterializeResult(metadata={"sql": sql})

    return view
