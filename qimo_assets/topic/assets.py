"""The topic as an asset: partitions, end offsets, lag of the lake, messages per minute, and the
checks that watch it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from dagster._time import get_current_timestamp

from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS, news
from qimo_assets.automation.ticks import each
from qimo_assets.instance.failures import as_failure
from qimo_assets.metadata import table
from qimo_assets.resources.kafka import KafkaResource, PartitionState
from qimo_assets.settings import Settings
from qimo_assets.source.assets import AGENT

# Up to this many records a lag is some batches under way, not a backlog.
LAG_ALLOWED = 200_000
WATCH_SECONDS = 60
# A stream that is ended because it stands still has begun again by then.
STANDS_SECONDS = 600
PACE = (
    f"each {WATCH_SECONDS} s by the sensor topic_watcher, which tells an outcome when it changes "
    f"and after {REPORT_TTL_SECONDS // 60} minutes"
)
KEEPS_UP, NOTHING_LOST = "lake_keeps_up", "nothing_lost_to_retention"
CHECKS = {
    KEEPS_UP: f"Fails when the lake is more than {LAG_ALLOWED:,} lines behind the topic and not "
    f"catching up, or has taken none of those that wait for {STANDS_SECONDS // 60} minutes.",
    NOTHING_LOST: "Fails when the topic deleted lines that the lake did not hold yet.",
}
LAG, READ, END = "lag", "read offset", "end offset"


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
        "create it where it is missing, and to see its offsets.",
    )
    def topic(context: dg.AssetExecutionContext, kafka: KafkaResource) -> dg.MaterializeResult[Any]:
        with as_failure():
            created = kafka.ensure_topic()
            partitions = kafka.state()
        return dg.MaterializeResult(
            metadata=_metadata(context.instance, key, partitions) | {"created": created}
        )

    specs = [
        dg.AssetCheckSpec(name, asset=key, description=text, metadata={EVALUATED: PACE})
        for name, text in CHECKS.items()
    ]

    @dg.multi_asset_check(name="topic_checks", specs=specs, can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext, kafka: KafkaResource
    ) -> Iterator[dg.AssetCheckResult]:
        with as_failure():
            partitions, now = kafka.state(), get_current_timestamp()
        wanted = {key.name for key in context.selected_asset_check_keys}
        for result in judge(context.instance, key, partitions, now):
            if result.check_name in wanted:
                yield result

    @dg.sensor(
        name="topic_watcher",
        minimum_interval_seconds=each(WATCH_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the topic's end offsets and the lake's lag when they changed, and "
        "evaluates the topic's checks.",
    )
    def topic_watcher(
        context: dg.SensorEvaluationContext, kafka: KafkaResource
    ) -> dg.SensorResult | dg.SkipReason:
        partitions, now = kafka.state(), get_current_timestamp()
        offsets = ",".join(f"{partition.high}:{partition.progress}" for partition in partitions)
        grew = (
            [
                dg.AssetMaterialization(
                    key,
                    metadata=_metadata(context.instance, key, partitions),
                    tags=_made_by(settings.source.agent),
                )
            ]
            if offsets != context.cursor
            else []
        )
        results = judge(context.instance, key, partitions, now)
        told = news(context.instance, results, now, [key] if grew else [])
        if not grew and not told:
            return dg.SkipReason("The topic has not changed.")
        return dg.SensorResult(asset_events=[*grew, *told], cursor=offsets)

    return dg.Definitions(
        assets=[topic],
        asset_checks=[checks],
        sensors=[topic_watcher],
    )


def _made_by(agent: str) -> dict[str, str]:
    """Return the tags that say which agent a report is of. Without them Dagster calls the topic
    unsynced whenever the agent was reported after it.
    """
    name = AGENT.to_user_string()
    return {
        # Dagster reads the others beside one alone.
        CODE_VERSION_TAG: agent,
        f"{INPUT_DATA_VERSION_TAG_PREFIX}/{name}": agent,
        f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{name}": NULL_EVENT_POINTER,
    }


def judge(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[PartitionState], now: float
) -> list[dg.AssetCheckResult]:
    """Judge how far the lake has come with the topic.

    Args:
        instance: Holds what was reported of the topic before.
        key: The topic's asset.
        partitions: The topic's state.
        now: Seconds since the epoch.
    """
    lag = sum(partition.lag for partition in partitions)
    last, earlier = (_reported(instance, key, now - ago) for ago in (0, STANDS_SECONDS))
    stands = bool(lag and earlier.get(LAG)) and earlier.get(READ) == _read(partitions)
    behind = lag > LAG_ALLOWED and lag >= last.get(LAG, 0)
    lost = {str(partition.partition): partition.lost for partition in partitions if partition.lost}
    return [
        dg.AssetCheckResult(
            asset_key=key,
            check_name=KEEPS_UP,
            passed=not stands and not behind,
            description="Is the run of job chat_stream alive? The sensor chat_stream_supervisor "
            "launches it, unless a person stopped it."
            if stands or behind
            else None,
            metadata={LAG: lag, "lag before": last.get(LAG, -1), "allowed": LAG_ALLOWED},
        ),
        dg.AssetCheckResult(
            asset_key=key,
            check_name=NOTHING_LOST,
            passed=not lost,
            metadata={"lost": sum(lost.values()), "partitions": dg.MetadataValue.json(lost)},
        ),
    ]


def _read(partitions: Sequence[PartitionState]) -> int:
    return sum(partition.high - partition.lag for partition in partitions)


def _metadata(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[PartitionState]
) -> dict[str, dg.MetadataValue]:
    end, now = sum(partition.high for partition in partitions), get_current_timestamp()
    values: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.int(len(partitions)),
        END: dg.MetadataValue.int(end),
        READ: dg.MetadataValue.int(_read(partitions)),
        LAG: dg.MetadataValue.int(sum(partition.lag for partition in partitions)),
        "each partition": table(
            ["partition", "first", "end", "lag"],
            [(item.partition, item.low, item.high, item.lag) for item in partitions],
        ),
    }
    event = instance.get_latest_materialization_event(key)
    before = _reported(instance, key, now).get(END)
    if event is None or before is None or now <= event.timestamp:
        return values
    rate = round((end - before) * 60 / (now - event.timestamp), 1)
    return values | {"messages per minute": dg.MetadataValue.float(rate)}


def _reported(instance: dg.DagsterInstance, key: dg.AssetKey, before: float) -> dict[str, int]:
    """Return the numbers of the newest report before a time; none where there is no report."""
    which = dg.AssetRecordsFilter(key, before_timestamp=before)
    records = instance.fetch_materializations(which, limit=1).records
    event = records[0].asset_materialization if records else None
    return {
        name: value.value
        for name, value in (event.metadata if event else {}).items()
        if isinstance(value, dg.IntMetadataValue) and value.value is not None
    }
