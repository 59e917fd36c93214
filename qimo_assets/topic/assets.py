"""The topic as an asset: partitions, end offsets, lag of the lake, messages per minute, and the
checks that watch it.
"""

import time

import dagster as dg

from qimo_assets.instance.failures import as_failure
from qimo_assets.resources.kafka import KafkaResource, PartitionState
from qimo_assets.settings import Settings
from qimo_assets.source.assets import AGENT

# Up to this many records a lag is some batches under way, not a backlog.
LAG_ALLOWED = 200_000


def topic_key(settings: Settings) -> dg.AssetKey:
    """Return the topic's asset key."""
    return dg.AssetKey(["kafka", settings.kafka.topic])


def build_topic_definitions(settings: Settings) -> dg.Definitions:
    """Return the topic's asset, its checks and the sensor that reports when it grew."""
    key = topic_key(settings)

    @dg.asset(
        key=key,
        deps=[AGENT],
        group_name="topic",
        kinds={"kafka"},
        owners=["team:data"],
        description="The topic into which the agents write each line, once. Materialize it to "
        "create "
        "it where it is missing, and to see its offsets.",
    )
    def topic(context: dg.AssetExecutionContext, kafka: KafkaResource) -> dg.MaterializeResult:
        with as_failure():
            created = kafka.ensure_topic()
            partitions = kafka.state()
        return dg.MaterializeResult(
            metadata=_metadata(context.instance, key, partitions) | {"created": created}
        )

    @dg.asset_check(
        asset=key,
        name="lake_keeps_up",
        description="Fails when the lake is far behind the topic and not catching up.",
    )
    def lake_keeps_up(
        context: dg.AssetCheckExecutionContext, kafka: KafkaResource
    ) -> dg.AssetCheckResult:
        lag = sum(partition.lag for partition in kafka.state())
        before = _last_number(context.instance, key, "lag")
        return dg.AssetCheckResult(
            passed=lag <= LAG_ALLOWED or (before is not None and lag < before),
            metadata={
                "lag": lag,
                "lag before": -1 if before is None else before,
                "allowed": LAG_ALLOWED,
            },
            description="Is the run of job chat_stream alive? It is launched by the sensor "
            "chat_stream_supervisor.",
        )

    @dg.asset_check(
        asset=key,
        name="nothing_lost_to_retention",
        description="Fails when the topic deleted lines that the lake did not hold yet.",
    )
    def nothing_lost_to_retention(kafka: KafkaResource) -> dg.AssetCheckResult:
        lost = {
            str(partition.partition): partition.lost
            for partition in kafka.state()
            if partition.lost
        }
        return dg.AssetCheckResult(
            passed=not lost,
            metadata={"lost": sum(lost.values()), "partitions": dg.MetadataValue.json(lost)},
        )

    @dg.sensor(
        name="topic_watcher",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the topic's end offsets and the lake's lag when they changed.",
    )
    def topic_watcher(
        context: dg.SensorEvaluationContext, kafka: KafkaResource
    ) -> dg.SensorResult | dg.SkipReason:
        partitions = kafka.state()
        cursor = ",".join(f"{partition.high}:{partition.progress}" for partition in partitions)
        if cursor == context.cursor:
            return dg.SkipReason("The topic has not changed.")
        event = dg.AssetMaterialization(key, metadata=_metadata(context.instance, key, partitions))
        return dg.SensorResult(asset_events=[event], cursor=cursor)

    return dg.Definitions(
        assets=[topic],
        asset_checks=[lake_keeps_up, nothing_lost_to_retention],
        sensors=[topic_watcher],
    )


def _metadata(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: list[PartitionState]
) -> dict[str, dg.MetadataValue]:
    rows = [
        f"| {item.partition} | {item.low:,} | {item.high:,} | {item.lag:,} |" for item in partitions
    ]
    values: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.int(len(partitions)),
        "end offset": dg.MetadataValue.int(sum(item.high for item in partitions)),
        "lag": dg.MetadataValue.int(sum(item.lag for item in partitions)),
        "each partition": dg.MetadataValue.md(
            "\n".join(["| partition | first | end | lag |", "|---:|---:|---:|---:|", *rows])
        ),
    }
    rate = _messages_per_minute(instance, key, sum(item.high for item in partitions))
    return (
        values if rate is None else values | {"messages per minute": dg.MetadataValue.float(rate)}
    )


def _messages_per_minute(instance: dg.DagsterInstance, key: dg.AssetKey, end: int) -> float | None:
    event = instance.get_latest_materialization_event(key)
    before = _last_number(instance, key, "end offset")
    if event is None or before is None:
        return None
    minutes = (time.time() - event.timestamp) / 60
    return round((end - before) / minutes, 1) if minutes > 0 else None


def _last_number(instance: dg.DagsterInstance, key: dg.AssetKey, name: str) -> int | None:
    event = instance.get_latest_materialization_event(key)
    value = (
        event.asset_materialization.metadata.get(name)
        if event and event.asset_materialization
        else None
    )
    return value.value if isinstance(value, dg.IntMetadataValue) else None
