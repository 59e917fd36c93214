"""What the topic says: how many records arrived, and the lines that stand in no file."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from qimo_assets.clients import librdkafka_options
from qimo_assets.settings import KafkaSettings
from qimo_assets.verify.errors import VerifyError
from qimo_assets.verify.line import ZONE

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

# Partition, offset, time of collection and the line itself.
PlainLine = tuple[int, int, datetime, bytes]
MAX_RECORDS = 10_000


def count_arrivals(kafka: KafkaSettings) -> int:
    """Return how many records ever arrived in the topic: the sum of its partitions' end offsets.

    Raises:
        VerifyError: The broker does not answer, or there is no such topic.
    """
    from confluent_kafka import KafkaException

    with _consumer(kafka) as consumer:
        topic = consumer.list_topics(kafka.topic, timeout=kafka.timeout_seconds).topics[kafka.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sum(_offsets(consumer, kafka, partition)[1] for partition in topic.partitions)


def topic_starts(kafka: KafkaSettings, partitions: Mapping[int, object]) -> dict[int, int]:
    """Return the first offset that each partition still has.

    Raises:
        VerifyError: The broker does not answer, or there is no such topic.
    """
    if not partitions:
        return {}
    with _consumer(kafka) as consumer:
        return {partition: _offsets(consumer, kafka, partition)[0] for partition in partitions}


def plain_lines(kafka: KafkaSettings, ranges: Mapping[int, tuple[int, int]]) -> Iterator[PlainLine]:
    """Yield the lines that other producers wrote, which name no file.

    Args:
        kafka: Where the topic is.
        ranges: Partition -> the first and the last offset that are looked at.

    Raises:
        VerifyError: The broker does not answer, or there is no such topic.
    """
    from confluent_kafka import KafkaException, TopicPartition

    for partition, (first, last) in ranges.items():
        with _consumer(kafka) as consumer:
            start, end = _offsets(consumer, kafka, partition)
            consumer.assign([TopicPartition(kafka.topic, partition, max(first, start))])
            offset, last = max(first, start) - 1, min(last, end - 1)
            while offset < last:
                # Asked for more than there is, it waits for its whole time-out.
                wanted = min(MAX_RECORDS, last - offset)
                records = consumer.consume(wanted, timeout=kafka.timeout_seconds)
                if not records:
                    raise KafkaException(_no_answer())
                for record in records:
                    if record.error() is not None:
                        raise KafkaException(record.error())
                    offset = record.offset() or 0
                    line = plain_line(record.value() or b"")
                    if line is not None and offset <= last:
                        collected = datetime.fromtimestamp(record.timestamp()[1] / 1000, ZONE)
                        yield partition, offset, collected, line


def plain_line(value: bytes) -> bytes | None:
    """Return the line of a record that names no file; None where it is an event of Flume that does.

    A record is an event when it is one from its first byte to its last: headers, as an Avro map of
    texts, and the body.
    """
    try:
        headers, body = _event(value)
    except (IndexError, ValueError):
        return value.removesuffix(b"\r")
    return None if b"file" in headers else body


def _event(value: bytes) -> tuple[dict[bytes, bytes], bytes]:
    headers: dict[bytes, bytes] = {}
    count, at = _long(value, 0)
    if not 0 <= count < 16:
        raise ValueError("no map of an event")
    while count:
        for _ in range(count):
            name, at = _bytes(value, at)
            headers[name], at = _bytes(value, at)
        count, at = _long(value, at)
    body, at = _bytes(value, at)
    if at != len(value):
        raise ValueError("more than an event")
    return headers, body


def _bytes(value: bytes, at: int) -> tuple[bytes, int]:
    length, at = _long(value, at)
    if not 0 <= length <= len(value) - at:
        raise ValueError("longer than what there is")
    return value[at : at + length], at + length


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Return Avro's long that begins at a place, and the place after it."""
    number = shift = 0
    while True:
        byte = value[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return (number >> 1) ^ -(number & 1), at


def _offsets(consumer: Consumer, kafka: KafkaSettings, partition: int) -> tuple[int, int]:
    from confluent_kafka import TopicPartition

    return consumer.get_watermark_offsets(
        TopicPartition(kafka.topic, partition), timeout=kafka.timeout_seconds
    )


def _no_answer() -> KafkaError:
    from confluent_kafka import KafkaError

    return KafkaError(KafkaError._TIMED_OUT, "no record came in time")


@contextmanager
def _consumer(kafka: KafkaSettings) -> Generator[Consumer, None, None]:
    """Open a consumer that keeps no place."""
    from confluent_kafka import Consumer, KafkaException

    consumer = Consumer(
        {**librdkafka_options(kafka), "group.id": "qimo-verify", "enable.auto.commit": False}
    )
    try:
        yield consumer
    except KafkaException as error:
        raise VerifyError(
            f"The topic {kafka.topic} at {kafka.bootstrap} cannot be read: "
            f"{error.args[0].str()}. See ./qimo status; ./qimo up starts the embedded stack."
        ) from error
    finally:
        consumer.close()
