"""The lake's tables as assets, the job that streams into them, and the sensor that
supervises it.
"""

import time
from collections.abc import Callable

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from qimo_assets.automation.backoff import TRIES_LOOKED_AT
from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.columns import column_schema
from qimo_assets.instance.failures import as_failure
from qimo_assets.instance.runs import STOPPED_BY_TAG
from qimo_assets.lake.gaps import build_gaps_definitions
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.pending import build_pending_definitions
from qimo_assets.lake.run import Mode, run_stream
from qimo_assets.lake.supervisor import (
    Decision,
    PastRun,
    Stall,
    decide,
    observe,
)
from qimo_assets.lake.tables import MESSAGE, QUARANTINE, SENT_AGAIN, Table
from qimo_assets.lake.write import TableWriter
from qimo_assets.lake.writer_lock import is_held
from qimo_assets.partitions import daily
from qimo_assets.resources.kafka import KafkaResource, KafkaUnreachable
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
    specs = [
        dg.AssetSpec(
            key,
            deps=[*TABLES] if table is SENT_AGAIN else [topic_key(settings)],
            skippable=True,
            group_name="lake",
            kinds={"hudi", "spark"},
            owners=["team:data"],
            description=f"{table.comment} Hudi, merge on read, at {table.path(settings.lake)}. "
            "Written "
            f"by the live run of job {STREAM_JOB}; "
            "materialize it to wait until everything that the topic holds now is in it.",
            metadata={
                "dagster/table_name": f"{settings.lake.database}.{table.name}",
                "dagster/uri": table.path(settings.lake),
                **column_schema(table.columns),
            },
        )
        for key, table in {**TABLES, SENT_AGAIN_KEY: SENT_AGAIN}.items()
    ]

    @dg.multi_asset(
        name="chat_lake",
        specs=specs,
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

    job = dg.define_asset_job(
        STREAM_JOB,
        # A check of theirs would run for as long as the stream does.
        selection=dg.AssetSelection.assets(*TABLES, SENT_AGAIN_KEY).without_checks(),
        tags={"qimo/writer": MESSAGE.name},
        description="The live stream: from the topic into the lake, until it is stopped. The "
        "sensor "
        "chat_stream_supervisor launches it; "
        "after a person stopped it, launch it here.",
    )

    replay_job = dg.define_asset_job(
        REPLAY_JOB,
        selection=dg.AssetSelection.assets(*TABLES).without_checks(),
        tags={"qimo/writer": MESSAGE.name},
        description="Reads the lines in quarantine again by today's contract and moves the good "
        "ones "
        "into the lake. It waits for the live stream to "
        "end; ./qimo replay launches it and ends the stream, which goes on afterwards by itself.",
    )

    @dg.sensor(
        name="chat_stream_supervisor",
        job=job,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches the live stream when none runs, and ends one that stands still; "
        "leaves "
        "it alone after a person stopped it.",
    )
    def chat_stream_supervisor(
        context: dg.SensorEvaluationContext, mysql: MySQLResource, kafka: KafkaResource
    ) -> dg.RunRequest | dg.SkipReason:
        runs = _past_runs(context.instance)
        stall = _observe(context, runs, kafka)
        decision = decide(
            runs, time.time(), writing=is_held(mysql, settings.lake.database), stall=stall
        )
        if decision.end:
            _end(context.instance, decision)
        # Without a run key: Dagster would never launch again under a key whose run failed.
        return dg.RunRequest() if decision.launch else dg.SkipReason(decision.reason)

    own = dg.Definitions(
        assets=[chat_lake],
        jobs=[job, replay_job],
        sensors=[chat_stream_supervisor],
    )
    tables = [*TABLES, SENT_AGAIN_KEY]
    return dg.Definitions.merge(
        own, build_pending_definitions(tables), build_gaps_definitions(list(TABLES))
    )


def _observe(
    context: dg.SensorEvaluationContext, runs: list[PastRun], kafka: KafkaResource
) -> Stall | None:
    """Compare the started run's progress with that of the tick before; a broker that is away tells
    nothing, and waits for no line.
    """
    started = next((run for run in runs if run.status is dg.DagsterRunStatus.STARTED), None)
    if started is None:
        return None
    try:
        partitions = kafka.state()
    except KafkaUnreachable as error:
        context.log.warning(f"Whether the stream moves is not known: {error}")
        return None
    progress, lag = (
        sum(item.progress or 0 for item in partitions),
        sum(item.lag for item in partitions),
    )
    stall = observe(Stall.from_cursor(context.cursor), started.run_id, progress, lag, time.time())
    context.update_cursor(stall.to_cursor())
    return stall


def _end(instance: dg.DagsterInstance, decision: Decision) -> None:
    run = instance.get_run_by_id(decision.end) if decision.end else None
    if run is None:
        return
    if run.status is dg.DagsterRunStatus.STARTED:
        instance.add_run_tags(run.run_id, {STOPPED_BY_TAG: "supervisor"})
        instance.report_engine_event(decision.reason, run)
    # Asked again, the launcher of this machine kills a process that did not end.
    instance.run_launcher.terminate(run.run_id)


def _past_runs(instance: dg.DagsterInstance) -> list[PastRun]:
    records = instance.get_run_records(dg.RunsFilter(job_name=STREAM_JOB), limit=TRIES_LOOKED_AT)
    failing = bool(records) and records[0].dagster_run.status is dg.DagsterRunStatus.FAILURE
    return [
        PastRun(
            run.run_id,
            run.status,
            record.end_time,
            run.tags.get(STOPPED_BY_TAG),
            wrote=failing and _wrote(instance, run),
        )
        for record in records
        for run in [record.dagster_run]
    ]


def _wrote(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return bool(
        instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1
        ).records
    )
