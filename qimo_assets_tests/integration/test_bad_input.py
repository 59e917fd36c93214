"""Lines that were counted wrong once, and text that other programs take for commands, go from the
file to MySQL, to Dagster's pages and into quarantine as they are.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from qimo_assets.clients import librdkafka_options
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets_tests.conftest import Stack, wait_for
from qimo_assets_tests.integration import corpus
from qimo_assets_tests.records import varint

DAY = "2024-02-29"
TEXTS = [
    "'); DROP TABLE os; --",
    "' OR '1'='1",
    "${spark.env.HOME} {{ database }} %s {0} \\N",
    "<script>alert('x')</script>&amp;<!--",
    '<img src=x onerror="alert(1)">',
    '=HYPERLINK("http://x","y")',
    "+1-1@SUM(A1)",
    '"a","b"',
    "a|b `c` **d** [e](javascript:f)",
]
MATERIALIZATIONS = (
    "query($key: AssetKeyInput!, $days: [String!]) { assetNodeOrError(assetKey: $key) { "
    "... on AssetNode { assetMaterializations(limit: 1, partitions: $days) "
    "{ metadataEntries { label ... on TableMetadataEntry { table { records } } "
    "... on MarkdownMetadataEntry { mdStr } } } } } }"
)


def line(text: str) -> bytes:
    return "\x01".join(
        [f"{DAY} 10:00:00", text, text, "男", "1.2.3.4", text, *[""] * 5, text, *[""] * 7, text]
    ).encode()


def records(stack: Stack, bodies: set[bytes], seconds: float = 60) -> dict[bytes, bytes]:
    """Return the topic's records that end with these lines, once all have come."""
    kafka = stack.settings().kafka
    ends = {
        part.partition: (part.low, part.high) for part in KafkaResource.from_settings(kafka).state()
    }
    consumer = Consumer({**librdkafka_options(kafka), "group.id": f"corpus-{uuid4().hex}"})
    consumer.assign([TopicPartition(kafka.topic, part, low) for part, (low, _) in ends.items()])
    found: dict[bytes, bytes] = {}
    deadline = time.monotonic() + seconds
    while len(found) < len(bodies):
        assert time.monotonic() < deadline, f"not in the topic: {bodies - found.keys()}"
        for record in consumer.consume(1000, timeout=1):
            value = bytes(record.value() or b"")
            found |= {body: value for body in bodies if value.endswith(varint(len(body)) + body)}
    consumer.close()
    return found


@pytest.fixture(scope="module")
def answer(stack: Stack, ask_hive: Callable[[str], list[Any]]) -> dict[str, Any]:
    """The recount after the corpus and the hostile texts have gone through."""
    chat = stack.home / "chat"
    for name, lines in corpus.FILES.items():
        (chat / name).write_bytes(b"".join(body for body, _ in lines))
    good = b"".join(line(text) + b"\n" for text in TEXTS)
    bad = b"".join(text.encode() + b"\n" for text in TEXTS)
    (chat / "hostile.log").write_bytes(good + bad)
    kafka = stack.settings().kafka
    producer = Producer(librdkafka_options(kafka))
    again = records(stack, set(corpus.AGAIN))
    for value in (*again.values(), *(body for body, _ in corpus.PLAIN)):
        producer.produce(kafka.topic, value)
    assert producer.flush(60) == 0
    agreed = stack.verified()
    wait_for(lambda: ask_hive("SHOW VIEWS LIKE 'v_quarantine'"))
    return agreed


def test_a_corpus_of_what_was_counted_wrong_once_agrees(
    answer: dict[str, Any],
    ask_mysql: Callable[[str], list[Any]],
    ask_hive: Callable[[str], list[Any]],
) -> None:
    assert answer["ok"]
    assert answer["plain"] >= len(corpus.PLAIN)
    assert answer["sent_again"] >= len(corpus.AGAIN)
    of_files = [reason for lines in corpus.FILES.values() for _, reason in lines]
    rejected = Counter(reason.value for reason in of_files if reason)
    found = ask_hive(
        "SELECT reason, count(*), count(DISTINCT message_id) FROM v_quarantine "
        f"WHERE source_file LIKE '%{corpus.NAME}%' GROUP BY reason ORDER BY reason"
    )
    assert found == [(reason, count, count) for reason, count in sorted(rejected.items())]
    kept = of_files.count(None)
    [counted] = ask_hive(
        "SELECT count(*), count(DISTINCT message_id) FROM v_message "
        f"WHERE source_file LIKE '%{corpus.NAME}%'"
    )
    assert counted == (kept, kept)
    accounts = ask_mysql(f"SELECT account FROM sender_top WHERE day = '{corpus.DAY}'")
    assert len(accounts) == len(set(accounts)) == 6
    phones = ask_mysql(f"SELECT phone_type FROM phone_type WHERE day = '{corpus.DAY}'")
    assert len([phone for (phone,) in phones if phone.startswith("长")]) == 2


@pytest.mark.usefixtures("answer")
def test_text_that_looks_like_a_command_stays_text(
    stack: Stack, ask_mysql: Callable[[str], list[Any]], ask_hive: Callable[[str], list[Any]]
) -> None:
    assert {text for (text,) in ask_mysql(f"SELECT os FROM os WHERE day = '{DAY}'")} == set(TEXTS)
    assert {
        (account, name)
        for account, name in ask_mysql(
            f"SELECT account, nickname FROM sender_top WHERE day = '{DAY}'"
        )
    } == {(text, text) for text in TEXTS}
    assert {
        text
        for (text,) in ask_hive(
            "SELECT raw_text FROM v_quarantine WHERE source_file LIKE '%hostile.log'"
        )
    } >= set(TEXTS)
    [event] = stack.graphql(MATERIALIZATIONS, key={"path": ["mysql", "os"]}, days=[DAY])[
        "assetNodeOrError"
    ]["assetMaterializations"]
    entries = {entry["label"]: entry for entry in event["metadataEntries"]}
    # Dagster draws a table's values as text.
    rows = map(json.loads, entries["rows"]["table"]["records"])
    assert {row["os"] for row in rows} == set(TEXTS)
    # A backslash makes a character of what would mean something in Markdown.
    chart = entries["chart"]["mdStr"]
    read = re.sub(r"\\(.)", r"\1", chart)
    assert [text for text in TEXTS if text not in read] == []
    assert re.findall(r"(?<!\\)[<\[`*]", chart) == []
