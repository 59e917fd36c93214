"""Kafka with SASL_SSL, SCRAM and mTLS, and MariaDB with TLS, reached by settings alone: Python's
clients, the agent and Spark.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from qimo_assets.clients import librdkafka_options
from qimo_assets.resources.kafka import KafkaResource, KafkaUnreachable
from qimo_assets.resources.mysql import MySQLError, MySQLResource
from qimo_assets.settings import LOOPBACK, KafkaSettings, Settings
from qimo_assets.source.links import keep, read_configuration
from qimo_assets.source.render import write_agent_configuration
from qimo_assets.stack import control, install
from qimo_assets.stack.certificates import Authority
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import common_environment, services
from qimo_assets.verify.topic import plain_lines, topic_starts
from qimo_assets_tests.conftest import Stack, free_ports, own_layout, wait_for
from qimo_assets_tests.contract.certificates import encrypted
from qimo_assets_tests.processes import command_line
from qimo_assets_tests.records import event

USER = "qimo"
# What a properties file, JAAS and Flume's look-ups each take for something else.
PASSWORD = "p\"\\a${env:HOME}s'密=#%{{s}}"  # pragma: allowlist secret  # made up for a test
KEY_PASSWORD = "of the key"  # pragma: allowlist secret  # made up for a test
LINES = 20
# The listeners of a broker as a company has it, beside the plain one that sets it up; two of the
# stack's ports are not used here.
LISTENERS = """
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller},SASL_SSL://{host}:{sasl},SSL://{host}:{mtls}
advertised.listeners=PLAINTEXT://{host}:{kafka},SASL_SSL://{host}:{sasl},SSL://{host}:{mtls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
"""
READ_ALL = """
import os, sys
from qimo_assets.clients import java_kafka_options
from qimo_assets.resources.spark import spark_resource
from qimo_assets.settings import load_settings
settings = load_settings()
spark = spark_resource(settings).spark_session
options = {f"kafka.{name}": value for name, value in java_kafka_options(settings.kafka).items()}
frame = spark.read.format("kafka").options(**options).option("subscribe", settings.kafka.topic).load()
given = spark._jsc.hadoopConfiguration().get("fs.s3a.secret.key")
print("lines", frame.count(), f'"{given}"' in os.environ["QIMO_LAKE__HADOOP_OPTIONS"], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Broker:
    """A secured broker and who may enter."""

    layout: Layout
    settings: Settings
    authority: Authority

    def kafka(self, way: str) -> KafkaSettings:
        """Return the settings of one of the two ways in."""
        ports, pem = self.layout.ports, self.authority.directory / "client.pem"
        scram = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": USER,
            "password": PASSWORD,
        }
        mtls = {
            "security_protocol": "SSL",
            "client_file": encrypted(pem, KEY_PASSWORD),
            "client_key_password": KEY_PASSWORD,
        }
        place = {
            "bootstrap": f"{LOOPBACK}:{ports['hive' if way == 'scram' else 'metastore']}",
            "ca_file": self.authority.ca,
            "topic": f"{way}-topic",
        }
        return KafkaSettings.model_validate({**place, **(scram if way == "scram" else mtls)})


@pytest.fixture(scope="module")
def broker(software: None) -> Iterator[Broker]:
    """The embedded stack's broker with two secured listeners."""
    with own_layout(free_ports()) as layout:
        authority = Authority(layout.home / "ca")
        server, _ = authority.issue("server"), authority.issue("client")
        ports = layout.ports
        named = {
            "kafka": ports["kafka"],
            "controller": ports["kafka_controller"],
            "sasl": ports["hive"],
            "mtls": ports["metastore"],
        }
        properties = layout.etc / "kafka.properties"
        kept = [
            line
            for line in properties.read_text().splitlines()
            if "listeners=" not in line or line.startswith("controller.")
        ]
        kept = [line for line in kept if not line.startswith("listener.security")]
        properties.write_text(
            "\n".join(kept)
            + LISTENERS.format(host=LOOPBACK, server=server, ca=authority.ca, **named)
        )
        install.format_data(layout, {"kafka"})
        settings = Stack(layout.home, {}).settings()
        control.start(layout, print, only={"kafka"})
        account = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap, "log_level": 0})
        admin.alter_user_scram_credentials([account])[USER].result(timeout=30)
        yield Broker(layout, settings, authority)


WAYS = pytest.mark.parametrize("way", ["scram", "mtls"])


@WAYS
def test_the_resource_makes_the_topic_and_keeps_the_progress(broker: Broker, way: str) -> None:
    resource = KafkaResource.from_settings(broker.kafka(way))
    resource.ensure_topic()
    assert len(resource.topic_id()) > 10
    # The first commits after a broker's start come before the topic of the offsets has a leader.
    wait_for(
        lambda: (
            resource.commit_progress({0: 0, 1: 0})
            or [item.progress for item in resource.state()] == [0, 0, None, None]
        )
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": SecretStr("wrong-password")},
        {"ca_file": None},
        {"security_protocol": "SASL_PLAINTEXT"},
    ],
)
def test_who_is_not_known_gets_no_answer_and_no_password_is_told(
    broker: Broker, wrong: dict[str, object]
) -> None:
    kafka = broker.kafka("scram").model_copy(update={**wrong, "timeout_seconds": 3})
    with pytest.raises(KafkaUnreachable) as failure:
        KafkaResource.from_settings(kafka).state()
    assert kafka.password is not None
    assert kafka.password.get_secret_value() not in str(failure.value)


def test_the_certificate_has_to_name_the_host(broker: Broker) -> None:
    kafka = broker.kafka("scram")
    kafka = kafka.model_copy(
        update={"bootstrap": kafka.bootstrap.replace(LOOPBACK, "localhost"), "timeout_seconds": 3}
    )
    with pytest.raises(KafkaUnreachable):
        KafkaResource.from_settings(kafka).state()


@WAYS
def test_the_agent_writes_and_tells_no_password(broker: Broker, way: str) -> None:
    home = broker.layout.home / way
    source = {
        "log_dir": home / "chat",
        "link_dir": home / "links",
        "position_file": home / "positions.json",
    }
    kafka = broker.kafka(way)
    settings = broker.settings.model_copy(
        update={"source": broker.settings.source.model_copy(update=source), "kafka": kafka}
    )
    source["log_dir"].mkdir(parents=True)
    (source["log_dir"] / "chat.log").write_text(
        "".join(f"line {number}\n" for number in range(LINES))
    )
    KafkaResource.from_settings(kafka).ensure_topic()
    configuration = home / "agent.properties"
    write_agent_configuration(settings, configuration)
    keep(read_configuration(configuration))
    command = next(
        service.command for service in services(broker.layout) if service.name == "flume"
    )
    log = home / "agent.log"
    with log.open("w") as output:
        agent = subprocess.Popen(
            [*command[:-1], configuration],
            env=common_environment(broker.layout),
            stdout=output,
            stderr=output,
        )
    try:
        assert len(read_lines(kafka, LINES)) == LINES, log.read_text()[-3000:]
        told = log.read_text() + " ".join(psutil.Process(agent.pid).cmdline())
    finally:
        agent.kill()
        agent.wait()
    assert [secret for secret in (PASSWORD, KEY_PASSWORD, "env:HOME") if secret in told] == []


def read_lines(kafka: KafkaSettings, wanted: int) -> list[bytes]:
    """Return the records of a topic, once there are so many or a minute is over."""
    consumer = Consumer(
        {**librdkafka_options(kafka), "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([kafka.topic])
    found: list[bytes] = []
    deadline = time.monotonic() + 120
    try:
        while len(found) < wanted and time.monotonic() < deadline:
            records = consumer.consume(wanted, timeout=1)
            found += [record.value() or b"" for record in records if record.error() is None]
    finally:
        consumer.close()
    return found


@WAYS
def test_spark_reads_and_neither_its_command_line_nor_its_log_tells_a_password(
    broker: Broker, way: str
) -> None:
    secret = "hadoop secret"  # pragma: allowlist secret  # made up for a test
    kafka = broker.kafka(way).model_copy(update={"topic": f"{way}-spark"})
    KafkaResource.from_settings(kafka).ensure_topic()
    producer = Producer(librdkafka_options(kafka))
    for number in range(LINES):
        producer.produce(kafka.topic, str(number).encode())
    assert producer.flush(60) == 0
    log = broker.layout.home / f"spark-{way}.log"
    given = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in kafka
        if name in kafka.model_fields_set
    }
    env = {
        **common_environment(broker.layout),
        "QIMO_CONFIG": str(broker.layout.home / "qimo.toml"),
        **{f"QIMO_KAFKA__{name.upper()}": value for name, value in given.items()},
        "QIMO_LAKE__HADOOP_OPTIONS": f'{{"fs.s3a.secret.key": "{secret}"}}',
        "QIMO_SPARK__DRIVER_MEMORY": "512m",
    }
    with log.open("w") as errors:
        reader = subprocess.Popen(
            [sys.executable, "-c", READ_ALL],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == f"lines {LINES} True\n", log.read_text()[-3000:]
        process = psutil.Process(reader.pid)
        told = (
            " ".join(
                command_line(member) for member in [process, *process.children(recursive=True)]
            )
            + log.read_text()
        )
    finally:
        reader.communicate()
    assert "-cp" in told
    assert [word for word in (PASSWORD, KEY_PASSWORD, secret) if word in told] == []


# --- MariaDB


@pytest.fixture(scope="module")
def mysql_tls(software: None) -> Iterator[tuple[MySQLResource, Authority]]:
    """The embedded stack's MariaDB with a certificate, and its publisher."""
    with own_layout(free_ports()) as layout:
        authority = Authority(layout.home / "ca")
        pem = authority.issue("server")
        options = layout.etc / "my.cnf"
        options.write_text(
            options.read_text().replace(
                "skip-ssl", f"ssl-ca={authority.ca}\nssl-cert={pem}\nssl-key={pem}"
            )
        )
        install.format_data(layout, {"mysql"})
        control.start(layout, print, only={"mysql"})
        password = SecretStr(layout.secret("mysql_publisher"))
        yield (
            MySQLResource(
                host=LOOPBACK,
                port=layout.ports["mysql"],
                password=password,
                timeout_seconds=5,
                ca_file=str(authority.ca),
            ),
            authority,
        )


def test_mysql_is_reached_by_tls(mysql_tls: tuple[MySQLResource, Authority]) -> None:
    resource, _ = mysql_tls
    with resource.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cursor.fetchall()[0][1]  # pyright: ignore[reportArgumentType, reportIndexIssue, reportCallIssue]  # the stub's row may be a dict


def test_a_server_of_another_authority_or_name_is_refused(
    mysql_tls: tuple[MySQLResource, Authority], tmp_path: Path
) -> None:
    resource, _ = mysql_tls
    for change in ({"ca_file": str(Authority(tmp_path).ca)}, {"host": "localhost"}):
        with (
            pytest.raises(MySQLError, match="(?i)certificate"),
            MySQLResource(**dict(resource, **change)).connect(),
        ):
            pass


def test_a_server_without_tls_is_refused(mysql: MySQLResource, tmp_path: Path) -> None:
    with (
        pytest.raises(MySQLError, match="SSL"),
        MySQLResource(**dict(mysql, ca_file=str(Authority(tmp_path).ca))).connect(),
    ):
        pass


@WAYS
def test_the_recount_reads_what_other_producers_wrote(broker: Broker, way: str) -> None:
    kafka = broker.kafka(way).model_copy(update={"topic": f"{way}-plain"})
    KafkaResource.from_settings(kafka).ensure_topic()
    records = [
        b"before",
        event(b"of a file", file="/logs/a.log", byteoffset="0"),
        b"plain\r",
        event(b"of no file", host="h"),
        b"after",
    ]
    producer = Producer(librdkafka_options(kafka))
    for record in records:
        producer.produce(kafka.topic, record, partition=1)
    assert producer.flush(30) == 0
    assert topic_starts(kafka, {1: (1, 3), 3: (0, 0)}) == {1: 0, 3: 0}
    found = list(plain_lines(kafka, {1: (1, 3)}))
    assert [(partition, offset, line) for partition, offset, _, line in found] == [
        (1, 2, b"plain"),
        (1, 3, b"of no file"),
    ]
    assert all(abs(time.time() - collected.timestamp()) < 300 for _, _, collected, _ in found)
    # A range that the topic does not have in whole is read as far as it is there.
    assert [line for *_, line in plain_lines(kafka, {1: (4, 99), 2: (0, 5)})] == [b"after"]
    assert list(plain_lines(kafka, {})) == []
