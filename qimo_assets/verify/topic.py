"""What the topic says: how many records arrived."""

from __future__ import annotations

from qimo_assets.clients import librdkafka_options
from qimo_assets.settings import KafkaSettings
from qimo_assets.verify.errors import VerifyError


def count_arrivals(kafka: KafkaSettings) -> int:
    """Return how many records ever arrived in the topic: the sum of its partitions' end offsets.

    Raises:
        VerifyError: The broker does not answer, or there is no such topic.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {**librdkafka_options(kafka), "group.id": "qimo-verify", "enable.auto.commit": False}
    )
    try:
        topic = consumer.list_topics(kafka.topic, timeout=kafka.timeout_seconds).topics[kafka.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        ends = [
            consumer.get_watermark_offsets(
                TopicPartition(kafka.topic, partition), timeout=kafka.timeout_seconds
            )[1]
            for partition in topic.partitions
        ]
        return sum(ends)
    except KafkaException as error:
        raise VerifyError(
            f"The topic {kafka.topic} at {kafka.bootstrap} cannot be read: "
            f"{error.args[0].str()}. See ./qimo status; ./qimo up starts the embedded stack."
        ) from error
    finally:
        consumer.close()
