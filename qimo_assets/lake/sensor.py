"""The sensor that launches the live stream and ends one that stands still."""

import time

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from qimo_assets.automation.backoff import TRIES_LOOKED_AT
from qimo_assets.automation.ticks import each
from qimo_assets.instance.runs import STOPPED_BY_TAG
from qimo_assets.lake.supervisor import (
    Decision,
    PastRun,
    Stall,
    decide,
    observe,
)
from qimo_assets.lake.writer_lock import is_held
from qimo_assets.resources.kafka import KafkaResource, KafkaUnreachable
from qimo_assets.resources.mysql import MySQLResource


def build_stream_sensor(job: UnresolvedAssetJobDefinition, database: str) -> dg.SensorDefinition:
    """Return the sensor.

    Args:
        job: The stream's job.
        database: Hive database of the tables, which the writer's lock is named after.
    """

    @dg.sensor(
        name="chat_stream_supervisor",
        job=job,
        minimum_interval_seconds=each(10),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches the live stream when none runs, and ends one that stands still; "
        "leaves it alone after a person stopped it.",
    )
    def chat_stream_supervisor(
        context: dg.SensorEvaluationContext, mysql: MySQLResource, kafka: KafkaResource
    ) -> dg.RunRequest | dg.SkipReason:
        runs = _past_runs(context.instance, job.name)
        stall = _observe(context, runs, kafka)
        decision = decide(runs, time.time(), writing=is_held(mysql, database), stall=stall)
        if decision.end:
            _end(context.instance, decision)
        # Without a run key: Dagster would never launch again under a key whose run failed.
        return dg.RunRequest() if decision.launch else dg.SkipReason(decision.reason)

    return chat_stream_supervisor


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


def _past_runs(instance: dg.DagsterInstance, job: str) -> list[PastRun]:
    records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=TRIES_LOOKED_AT)
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
