"""From the topic on each line stands in the lake once, whatever is killed at whatever moment.

Each test has a lake of its own (lakes.py) and runs the streaming job in a process of its own
(driver.py), which is killed with its JVM. What was sent is told apart by its number and held
against what HiveServer2 answers.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from qimo_assets.clients import librdkafka_options
from qimo_assets.lake.writer_lock import WriterLock
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets_tests.lakes.lake import DRIVER_SECONDS, Lake, kill

KILLS = 3
# A driver needs about 12 s to its first batch.
KILLED_AFTER_SECONDS = (8, 30)


def admin(lake: Lake) -> AdminClient:
    return AdminClient(librdkafka_options(lake.settings.kafka))


def test_killed_between_the_commits_of_a_batch(lake: Lake) -> None:
    lake.send()
    # Before Spark's own commit log knows of the batch, and with one table of two written.
    lake.crash("catch_up", "after the commits")
    lake.crash("catch_up", "after the messages")
    lake.crash("catch_up", "after the quarantine")
    lake.finish()
    lake.assert_once()


def test_killed_while_a_table_is_at_work(lake: Lake) -> None:
    # The first write of a table is a commit, each later one a delta commit.
    for action in ("commit", "deltacommit", "rollback", "clustering", "clean"):
        lake.send()
        kill_during(lake, action)
    lake.finish()
    lake.assert_once()


def kill_during(lake: Lake, action: str) -> None:
    """Run the streaming job and kill it as soon as such an action of a table is under way."""
    process = lake.start("catch_up")
    try:
        while not lake.under_way("chat_message", action):
            assert process.poll() is None, (
                f"{action} was never seen under way\n{lake.log()[-3000:]}"
            )
            time.sleep(0.002)
    finally:
        kill(process)


def test_killed_while_it_talks_to_the_metastore(lake: Lake) -> None:
    lake.send()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lake.env["QIMO_LAKE__METASTORE_URIS"] = f"thrift://127.0.0.1:{listener.getsockname()[1]}"
        process = lake.start("catch_up")
        try:
            listener.settimeout(DRIVER_SECONDS)
            listener.accept()[0].close()
        finally:
            kill(process)
    del lake.env["QIMO_LAKE__METASTORE_URIS"]
    lake.finish()
    lake.assert_once()


def test_killed_at_random_moments_while_lines_come(lake: Lake) -> None:
    seed = int(os.environ.get("QIMO_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"QIMO_TEST_SEED={seed}")
    chance, done = random.Random(seed), threading.Event()

    def feed() -> None:
        # Each second costs the last run a tenth of a batch.
        while not done.wait(1.5):
            lake.send(30)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for _ in range(KILLS):
            process = lake.start("live")
            time.sleep(chance.uniform(*KILLED_AFTER_SECONDS))
            kill(process)
    finally:
        done.set()
        feeder.join()
    lake.finish()
    lake.assert_once()


def test_a_lost_checkpoint_and_another_one_read_everything_again_once(lake: Lake) -> None:
    lake.send()
    lake.finish()
    lake.lose_checkpoints()
    lake.send(100)
    lake.finish()
    lake.env["QIMO_LAKE__CHECKPOINT"] = f"{lake.settings.lake.checkpoint}-another"
    lake.send(100)
    lake.finish()
    lake.assert_once()


def test_lines_that_retention_deleted_stop_the_stream_until_the_loss_is_accepted(
    lake: Lake,
) -> None:
    lake.send(100)
    lake.finish()
    # Each second of these goes to partition 0, whose part is deleted.
    lake.send(40)
    lake.deleted = set(range(100, 140, 2))
    [kept] = [state.high for state in lake.kafka.state() if state.partition == 0]
    # Held until the answer is there: the client's end would leave the futures open for ever.
    client = admin(lake)
    client.delete_records([TopicPartition(lake.name, 0, kept)])[
        TopicPartition(lake.name, 0)
    ].result(timeout=60)
    told = lake.refused()
    assert "retention deleted" in told
    assert "QIMO_LAKE__ACCEPT_DATA_LOSS=true" in told
    lake.lose_checkpoints()
    told = lake.refused()
    assert "retention deleted lines that the lake is not known to hold: 20 of partition 0." in told
    assert "QIMO_LAKE__ACCEPT_DATA_LOSS=true" in told
    lake.env["QIMO_LAKE__ACCEPT_DATA_LOSS"] = "true"
    lake.finish()
    del lake.env["QIMO_LAKE__ACCEPT_DATA_LOSS"]
    lake.send(20)
    lake.finish()
    lake.assert_once()


def test_a_topic_made_anew_stops_the_stream_and_its_lines_replace_no_others(lake: Lake) -> None:
    lake.send(100)
    lake.finish()
    client = admin(lake)
    client.delete_topics([lake.name])[lake.name].result(timeout=60)
    while not lake.kafka.ensure_topic():
        time.sleep(0.2)
    # More than before, so that the offsets alone show nothing.
    lake.send(300)
    told = lake.refused()
    assert f"The topic {lake.name} was deleted and made anew" in told
    assert "QIMO_LAKE__ACCEPT_DATA_LOSS=true" in told
    lake.env["QIMO_LAKE__ACCEPT_DATA_LOSS"] = "true"
    lake.finish()
    del lake.env["QIMO_LAKE__ACCEPT_DATA_LOSS"]
    lake.finish()
    lake.assert_once()


def test_a_second_writer_is_refused(lake: Lake) -> None:
    lake.send(50)
    with WriterLock(MySQLResource.from_settings(lake.settings.mysql), lake.name):
        told = lake.refused("live")
        assert "Another run writes the lake" in told
        assert "Another run writes the lake" in lake.refused("replay")
    lake.finish()
    lake.assert_once()


def test_a_driver_whose_clock_is_behind_the_lake_writes_nothing(lake: Lake) -> None:
    lake.send(100)
    lake.finish()
    usual = json.loads(lake.environment()["QIMO_SPARK__CONF"])
    # Eight hours behind the driver before: Hudi names instants by the JVM's own time zone.
    behind = "-Dfile.encoding=UTF-8 -Duser.timezone=GMT-8"
    lake.env["QIMO_SPARK__CONF"] = json.dumps({**usual, "spark.driver.extraJavaOptions": behind})
    lake.send(100)
    for mode in ("catch_up", "replay"):
        assert "Put the clock right" in lake.refused(mode)
    del lake.env["QIMO_SPARK__CONF"]
    lake.finish()
    lake.assert_once()
