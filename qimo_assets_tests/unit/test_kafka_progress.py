"""Progress that the broker refuses for a single partition: read, and committed again."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from qimo_assets.resources.kafka import KafkaResource


class Admin:
    """A broker that refuses one partition so many times, in its answer alone."""

    def __init__(self, refusals: int, code: int) -> None:
        self.refusals, self.code = refusals, code
        self.asked: list[dict[int, int]] = []

    def alter_consumer_group_offsets(
        self, requests: list[Any], request_timeout: float
    ) -> dict[str, Future[Any]]:
        [request] = requests
        self.asked.append({each.partition: each.offset for each in request.topic_partitions})
        refused = KafkaError(self.code) if len(self.asked) <= self.refusals else None
        answer: Future[Any] = Future()
        answer.set_result(
            SimpleNamespace(
                topic_partitions=[
                    SimpleNamespace(
                        partition=each.partition, error=refused if each.partition else None
                    )
                    for each in request.topic_partitions
                ]
            )
        )
        return {request.group_id: answer}


def kafka(admin: Admin) -> KafkaResource:
    class Resource(KafkaResource):
        def _admin(self) -> Any:
            return admin

    return Resource(
        bootstrap="b:1",
        topic="t",
        partitions=2,
        replication=1,
        retention_hours=1,
        max_message_bytes=1,
        progress_group="g",
        timeout_seconds=1,
        min_insync_replicas=1,
        client={},
    )


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    ],
)
def test_a_partition_that_is_refused_while_the_broker_starts_is_committed_again(code: int) -> None:
    admin = Admin(2, code)
    kafka(admin).commit_progress({0: 5, 1: 7})
    assert admin.asked == [{0: 5, 1: 7}] * 3


@pytest.mark.parametrize(
    "code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_AUTHORIZATION_FAILED]
)
def test_a_partition_that_stays_refused_is_an_error(code: int) -> None:
    with pytest.raises(KafkaException) as caught:
        kafka(Admin(1000, code)).commit_progress({0: 5, 1: 7})
    assert caught.value.args[0].code() == code
