"""The broker: the topic, its offsets, and the lake's progress in it. Every call has a time-out."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pydantic import Field
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from qimo_assets.clients import librdkafka_options
from qimo_assets.errors import UnreachableError
from qimo_assets.settings import KafkaSettings

PAUSE_SECONDS = 0.2
# What a broker answers while it starts, or while a partition changes its leader.
PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class KafkaUnreachable(UnreachableError):
    """Kafka gives no answer about the topic; the message says what to do."""


@dataclass(frozen=True)
class PartitionState:
    """One partition: first kept offset, end offset, and the offset up to which the lake holds it
    (None: nothing yet).
    """

    partition: int
    low: int
    high: int
    progress: int | None

    @property
    def lag(self) -> int:
        """Records that the lake does not hold yet."""
        return self.high - max(self.progress or 0, self.low)

    @property
    def lost(self) -> int:
        """Records that retention deleted before the lake had them."""
        return max(self.low - (self.progress or 0), 0)


class KafkaResource(dg.ConfigurableResource[Any]):
    """The topic of the chat lines and the broker that holds it."""

    bootstrap: str = Field(description="host:port of the brokers, comma separated.")
    topic: str = Field(description="The topic of the chat lines.")
    partitions: int = Field(description="Partitions of the topic when it is created.")
    replication: int = Field(description="Replicas of each partition when the topic is created.")
    retention_hours: int = Field(
        description="Hours that the topic keeps a line, when it is created."
    )
    max_message_bytes: int = Field(description="Largest record that the topic takes.")
    progress_group: str = Field(description="Consumer group that holds the lake's progress.")
    timeout_seconds: float = Field(description="Time-out of each call, in seconds.")
    min_insync_replicas: int = Field(
        description="Replicas that have to hold a line before it is acknowledged, "
        "when the topic is created."
    )
    # A dependency is no configuration: neither Dagster's UI nor its storage ever gets to see the
    # passwords in it.
    client: dg.ResourceDependency[dict[str, Any]]

    @classmethod
    def from_settings(cls, settings: KafkaSettings) -> "KafkaResource":
        """Return the resource that the settings describe."""
        return cls(
            client=librdkafka_options(settings),
            **{name: value for name, value in settings if name in cls.model_fields},
        )

    def ensure_topic(self) -> bool:
        """Create the topic unless it is there; return whether it was created."""
        admin = self._admin()
        if self.topic in admin.list_topics(timeout=self.timeout_seconds).topics:
            return False
        config = {
            # The time of arrival at the broker, which no producer's clock can falsify;
            # `collected_at` is made of it.
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_hours * 3_600_000),
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(self.min_insync_replicas),
        }
        topic = NewTopic(self.topic, self.partitions, self.replication, config=config)
        admin.create_topics([topic], operation_timeout=self.timeout_seconds)[self.topic].result(
            timeout=self.timeout_seconds
        )
        return True

    def topic_id(self) -> str:
        """Return the id that the broker gave the topic when it was created: one that is deleted and
        made anew has another.

        Raises:
            KafkaUnreachable: The broker cannot be reached or does not know the topic.
        """
        admin = self._admin()
        try:
            described = admin.describe_topics(
                TopicCollection([self.topic]), request_timeout=self.timeout_seconds
            )[self.topic]
            return str(described.result(timeout=self.timeout_seconds).topic_id)
        except (KafkaException, TimeoutError) as error:
            raise self._no_answer(error) from error

    def state(self) -> list[PartitionState]:
        """Return the state of each partition.

        Raises:
            KafkaUnreachable: The broker cannot be reached or does not know the topic.
        """
        with self._consumer() as consumer:
            try:
                found = consumer.list_topics(self.topic, timeout=self.timeout_seconds).topics[
                    self.topic
                ]
                if found.error is not None:
                    raise KafkaException(found.error)
                partitions = [
                    TopicPartition(self.topic, number) for number in sorted(found.partitions)
                ]
                committed = {
                    item.partition: item.offset for item in self._committed(consumer, partitions)
                }
                bounds = [
                    (
                        item.partition,
                        *consumer.get_watermark_offsets(item, timeout=self.timeout_seconds),
                    )
                    for item in partitions
                ]
            except KafkaException as error:
                raise self._no_answer(error) from error
        # A partition without a committed offset answers with a negative number.
        return [
            PartitionState(number, low, high, committed[number] if committed[number] >= 0 else None)
            for number, low, high in bounds
        ]

    def waiting_since(self, partitions: Iterable[PartitionState]) -> float | None:
        """Return when the oldest line came that the lake does not hold yet, in seconds since the
        epoch; None when it holds all.

        Raises:
            KafkaUnreachable: The broker cannot be reached.
        """
        moments: list[float] = []
        with self._consumer() as consumer:
            for item in partitions:
                if not item.lag:
                    continue
                offset = max(item.progress or 0, item.low)
                try:
                    consumer.assign([TopicPartition(self.topic, item.partition, offset)])
                    message = consumer.poll(self.timeout_seconds)
                except KafkaException as error:
                    raise self._no_answer(error) from error
                # A transaction's marker has an offset and no message.
                if message is not None and message.error() is None:
                    moments.append(message.timestamp()[1] / 1000)
        return min(moments, default=None)

    def commit_progress(self, offsets: Mapping[int, int]) -> None:
        """Commit that the lake holds each partition up to (not including) the given offset.

        Raises:
            KafkaException: The broker did not take all of them in time, or gave no answer.
        """
        for attempt in self._tries():
            with attempt:
                self._commit(offsets)

    def _commit(self, offsets: Mapping[int, int]) -> None:
        partitions = [
            TopicPartition(self.topic, number, offset) for number, offset in offsets.items()
        ]
        request = ConsumerGroupTopicPartitions(self.progress_group, partitions)
        # Held until the answer is there: the client's end would leave the futures open for ever.
        admin = self._admin()
        for future in admin.alter_consumer_group_offsets(
            [request], request_timeout=self.timeout_seconds
        ).values():
            # What is refused of a single partition stands in the answer; nothing is raised.
            answer = future.result(timeout=self.timeout_seconds)
            for partition in answer.topic_partitions:
                if partition.error is not None:
                    raise KafkaException(partition.error)

    def _committed(
        self, consumer: Consumer, partitions: list[TopicPartition]
    ) -> list[TopicPartition]:
        return self._tries()(consumer.committed, partitions, timeout=self.timeout_seconds)

    def _tries(self) -> Retrying:
        # The first question after a broker's start makes the topic of the offsets; until it has a
        # leader the answer is NOT_COORDINATOR.
        return Retrying(
            retry=retry_if_exception(_passes),
            wait=wait_fixed(PAUSE_SECONDS),
            stop=stop_after_delay(self.timeout_seconds),
            reraise=True,
        )

    def _no_answer(self, error: Exception) -> KafkaUnreachable:
        return KafkaUnreachable(
            f"Kafka at {self.bootstrap} gave no answer about topic {self.topic}: {error}. "
            "Is it up (./qimo status)?"
        )

    def _admin(self) -> AdminClient:
        return AdminClient(self.client)

    @contextmanager
    def _consumer(self) -> Generator[Consumer, None, None]:
        consumer = Consumer(
            {**self.client, "group.id": self.progress_group, "enable.auto.commit": False}
        )
        try:
            yield consumer
        finally:
            consumer.close()


def _passes(error: BaseException) -> bool:
    if not isinstance(error, KafkaException):
        return False
    cause = error.args[0]
    return cause.retriable() or cause.code() in PASSING
