"""The lake's tables as assets, and the jobs that write them."""

from collections.abc import Callable

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster_pyspark import LazyPySparkResource

from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.columns import column_schema
from qimo_assets.instance.failures import as_failure
from qimo_assets.lake.gaps import build_gaps_definitions
from qimo_assets.lake.mode import Mode
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.pending import build_pending_definitions
from qimo_assets.lake.sensor import build_stream_sensor
from qimo_assets.lake.tables import MESSAGE, QUARANTINE, SENT_AGAIN, Table
from qimo_assets.lake.write import TableWriter
from qimo_assets.partitions import daily
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings
from qimo_assets.topic.assets import topic_key

STREAM_JOB = "chat_stream"
REPLAY_JOB = "chat_replay"
MODES = {STREAM_JOB: Mode.LIVE, REPLAY_JOB: Mode.REPLAY}
QUARANTINED = dg.AssetKey(["hudi", QUARANTINE.name])
SENT_AGAIN_KEY = dg.AssetKey(["hudi", SENT_AGAIN.name])
TABLES: dict[dg.AssetKey, Table] = {MESSAGES: MESSAGE, QUARANTINED: QUARANTINE}


def build_lake_definitions(
    settings: Settings,
    pace: Pace = Pace(),  # noqa: B008  # frozen
    make_writer: Callable[..., TableWriter] = TableWriter,
) -> dg.Definitions:
    """Return the tables' assets, the job `chat_stream`, its supervising sensor, and the job
    `chat_replay`.

    Args:
        settings: The platform's settings.
        pace: How often things are done beside the writing.
        make_writer: Makes the writer of the tables.
    """
    stream, replay = _jobs()
    own = dg.Definitions(
        assets=[_tables(settings, pace, make_writer)],
        jobs=[stream, replay],
        sensors=[build_stream_sensor(stream, settings.lake.database)],
    )
    return dg.Definitions.merge(
        own,
        build_pending_definitions([*TABLES, SENT_AGAIN_KEY]),
        build_gaps_definitions(list(TABLES)),
    )


def _tables(
    settings: Settings, pace: Pace, make_writer: Callable[..., TableWriter]
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="chat_lake",
        specs=[
            _spec(settings, key, table)
            for key, table in {**TABLES, SENT_AGAIN_KEY: SENT_AGAIN}.items()
        ],
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def chat_lake(
        context: dg.AssetExecutionContext,
        spark: LazyPySparkResource,
        kafka: KafkaResource,
        mysql: MySQLResource,
    ):
        # Its libraries start threads, which a run forked from loaded definitions would lack.
        from qimo_assets.lake.run import run_stream

        with as_failure():
            run_stream(
                context,
                settings,
                TABLES,
                SENT_AGAIN_KEY,
                MODES.get(context.run.job_name, Mode.CATCH_UP),
                spark,
                kafka,
                mysql,
                pace,
                make_writer,
            )
        # The days that were asked for are caught up now, also those to which no line came. What is
        # asked for together with the lake would be skipped without a result of it.
        if context.has_partition_key or context.has_partition_key_range:
            for key in (*TABLES, SENT_AGAIN_KEY):
                if key in context.selected_asset_keys:
                    yield dg.MaterializeResult(asset_key=key, metadata={"caught up": True})

    return chat_lake


def _spec(settings: Settings, key: dg.AssetKey, table: Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[*TABLES] if table is SENT_AGAIN else [topic_key(settings)],
        skippable=True,
        group_name="lake",
        kinds={"hudi", "spark"},
        owners=["team:data"],
        description=f"{table.comment} Hudi, merge on read, at {table.path(settings.lake)}. "
        f"Written by the live run of job {STREAM_JOB}; materialize it to wait until everything "
        "that the topic holds now is in it.",
        metadata={
            "dagster/table_name": f"{settings.lake.database}.{table.name}",
            "dagster/uri": table.path(settings.lake),
            **column_schema(table.columns),
        },
    )


def _jobs() -> tuple[UnresolvedAssetJobDefinition, UnresolvedAssetJobDefinition]:
    """Return the job of the stream and that of the replay."""
    tags = {"qimo/writer": MESSAGE.name}
    return (
        dg.define_asset_job(
            STREAM_JOB,
            # A check of theirs would run for as long as the stream does.
            selection=dg.AssetSelection.assets(*TABLES, SENT_AGAIN_KEY).without_checks(),
            tags=tags,
            description="The live stream: from the topic into the lake, until it is stopped. The "
            "sensor chat_stream_supervisor launches it; after a person stopped it, launch it here.",
        ),
        dg.define_asset_job(
            REPLAY_JOB,
            selection=dg.AssetSelection.assets(*TABLES).without_checks(),
            tags=tags,
            description="Reads the lines in quarantine again by today's contract and moves the "
            "good ones into the lake. It waits for the live stream to end; ./qimo replay launches "
            "it and ends the stream, which goes on afterwards by itself.",
        ),
    )
