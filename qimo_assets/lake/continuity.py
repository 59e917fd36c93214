"""Whether the lake can read the topic without a gap, and which checkpoint says how far it came.

Spark sees a gap between its checkpoint and the topic by itself. It does not see what is missing
without a checkpoint, nor that the topic was deleted and made anew: then its offsets mean other
lines. So a checkpoint belongs to one topic as it was created once, by Kafka's topic id, and where
there is none the committed progress of the consumer group says what the lake holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from qimo_assets.errors import DataLossError
from qimo_assets.lake.timeline import file_system, hadoop_path
from qimo_assets.resources.kafka import KafkaResource, PartitionState
from qimo_assets.settings import LakeSettings

WAYS_ON = (
    "The stream stops rather than pass over them. Bring the lines back into the topic, or "
    "accept the loss with QIMO_LAKE__ACCEPT_DATA_LOSS=true "
    "(lake.accept_data_loss in the settings file) until the stream has gone on."
)


class LinesLost(DataLossError):
    """The topic no longer holds lines that the lake may not have; the message says which and what
    to do.
    """


@dataclass(frozen=True)
class TopicCheckpoint:
    """The checkpoint of a topic as it was created once.

    Attributes:
        topic_id: Kafka's id of the topic, safe in a file name.
        path: URI of the streaming query's checkpoint.
    """

    topic_id: str
    path: str


def open_checkpoint(
    spark: SparkSession, lake: LakeSettings, kafka: KafkaResource
) -> TopicCheckpoint:
    """Return the checkpoint from which the topic is read on.

    Args:
        spark: The driver's session, whose file systems hold the checkpoints.
        lake: Where they are, and whether a loss is accepted.
        kafka: The topic.

    Raises:
        LinesLost: Lines are missing and nobody accepted the loss.
        KafkaUnreachable: The broker gives no answer.
    """
    topic_id = kafka.topic_id().replace("+", "-").replace("/", "_")
    name = f"{kafka.topic}.{topic_id}"
    begun = begun_checkpoints(spark, lake.checkpoint)
    if not lake.accept_data_loss and (gap := gap_before(kafka.topic, name, begun, kafka.state())):
        raise LinesLost(f"{gap} {WAYS_ON}")
    return TopicCheckpoint(topic_id, f"{lake.checkpoint}/{name}")


def gap_before(
    topic: str, name: str, begun: Collection[str], partitions: Sequence[PartitionState]
) -> str | None:
    """Say what is missing before the first line that would be read; None when nothing is.

    Args:
        topic: The topic's name.
        name: Name of its checkpoint.
        begun: Names of the checkpoints from which a query went on.
        partitions: What the topic holds, and up to where the lake holds it.
    """
    if name in begun:
        return None
    if any(other.rpartition(".")[0] == topic for other in begun):
        return (
            f"The topic {topic} was deleted and made anew: lines of the deleted one that the "
            "lake had not read are gone; the new one is read from its start."
        )
    lost = {partition.partition: partition.lost for partition in partitions if partition.lost}
    if lost:
        named = ", ".join(f"{lines} of partition {number}" for number, lines in lost.items())
        return (
            f"There is no checkpoint of topic {topic}, and retention deleted lines that the "
            f"lake is not known to hold: {named}."
        )
    return None


def begun_checkpoints(spark: SparkSession, directory: str) -> set[str]:
    """Return the names of the checkpoints in a directory that hold the offsets of at least one
    batch.
    """
    offsets = hadoop_path(spark, f"{directory}/*/offsets/[0-9]*")
    found = file_system(spark, directory).globStatus(offsets) or []
    return {status.getPath().getParent().getParent().getName() for status in found}
