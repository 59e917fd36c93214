"""How each client gets the settings, and that no secret of them is seen elsewhere."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from pydantic import SecretStr
from thrift.transport.TTransport import TTransportException

from qimo_assets.clients import (
    hive_transport,
    java_kafka_options,
    librdkafka_options,
    mysql_arguments,
)
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.spark import spark_properties
from qimo_assets.settings import (
    LOOPBACK,
    HiveSettings,
    KafkaSettings,
    MySQLSettings,
    Settings,
    SettingsError,
    load_settings,
)
from qimo_assets.source.links import read_configuration
from qimo_assets.source.render import FLUME_CONF, agent_configuration, write_agent_configuration

# What a shell, a properties file, JAAS and Flume's look-ups each take for something else.
ODD = "p\"\\a${env:HOME}s'密 🔑=#%{{s}}"
SECRETS = {
    "QIMO_KAFKA__PASSWORD": f"kafka {ODD}",
    "QIMO_KAFKA__CLIENT_KEY_PASSWORD": "key-password",  # pragma: allowlist secret
    "QIMO_KAFKA__JAVA_OPTIONS": "java-option",
    "QIMO_KAFKA__LIBRDKAFKA_OPTIONS": "librdkafka-option",
    "QIMO_LAKE__HADOOP_OPTIONS": "hadoop-option",
    "QIMO_HIVE__PASSWORD": "hive-password",  # pragma: allowlist secret  # made up for a test
    "QIMO_MYSQL__PASSWORD": "mysql-password",  # pragma: allowlist secret  # made up for a test
    "QIMO_REPORT__PASSWORD": "report-password",  # pragma: allowlist secret  # made up for a test
}
SECURED = {
    "QIMO_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "QIMO_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
    "QIMO_KAFKA__USERNAME": "qimo",
    "QIMO_KAFKA__CA_FILE": __file__,
    "QIMO_KAFKA__CLIENT_FILE": __file__,
    "QIMO_HIVE__AUTH": "LDAP",
}


@pytest.fixture
def secured(required: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with every secret that there is."""
    for name, value in {**SECURED, **SECRETS}.items():
        monkeypatch.setenv(
            name, f'{{"some.option": "{value}"}}' if name.endswith("OPTIONS") else value
        )
    return load_settings()


def properties(path: Path) -> dict[str, str]:
    """Return a Java properties file as Java reads it."""
    lines = [
        line.split(" = ", 1)
        for line in path.read_text().splitlines()
        if " = " in line and not line.startswith("#")
    ]
    return {
        name: value.encode()
        .decode("unicode_escape")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16")
        for name, value in lines
    }


# --- Kafka


def test_without_security_only_the_address_is_told() -> None:
    kafka = KafkaSettings(bootstrap="a:1,b:2")
    assert java_kafka_options(kafka) == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "PLAINTEXT",
    }
    assert librdkafka_options(kafka) == {**java_kafka_options(kafka), "log_level": 0}


def test_every_security_option_reaches_both_kinds_of_client(secured: Settings) -> None:
    java, python = java_kafka_options(secured.kafka), librdkafka_options(secured.kafka)
    assert {name: value for name, value in java.items() if name in python} == {
        "bootstrap.servers": "127.0.0.1:9",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "ssl.key.password": SECRETS["QIMO_KAFKA__CLIENT_KEY_PASSWORD"],
        "some.option": "java-option",
    }
    assert java["sasl.jaas.config"].startswith(
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="qimo" '
        'password="kafka p\\"'  # pragma: allowlist secret  # made up for a test
    )
    assert (
        java["ssl.truststore.type"],
        java["ssl.truststore.location"],
        java["ssl.keystore.type"],
        java["ssl.keystore.location"],
    ) == (
        *("PEM", __file__),
        *("PEM", __file__),
    )
    assert (python["sasl.username"], python["sasl.password"], python["some.option"]) == (
        "qimo",
        SECRETS["QIMO_KAFKA__PASSWORD"],
        "librdkafka-option",
    )
    assert (
        python["ssl.ca.location"],
        python["ssl.certificate.location"],
        python["ssl.key.location"],
    ) == (__file__, __file__, __file__)


def test_a_host_name_is_checked_unless_it_is_said_otherwise() -> None:
    name = "ssl.endpoint.identification.algorithm"
    kafka = KafkaSettings(bootstrap="a:1", security_protocol="SSL")
    assert name not in java_kafka_options(kafka) | librdkafka_options(kafka)
    kafka = KafkaSettings(bootstrap="a:1", security_protocol="SSL", verify_hostname=False)
    assert (java_kafka_options(kafka)[name], librdkafka_options(kafka)[name]) == ("", "none")


def test_the_resource_connects_as_the_settings_say(secured: Settings) -> None:
    kafka = secured.kafka.model_copy(update={"librdkafka_options": {}})
    assert KafkaResource.from_settings(kafka).client == librdkafka_options(kafka)


# --- the agent


@pytest.mark.parametrize("agent", sorted(path.stem for path in FLUME_CONF.glob("*.properties")))
def test_the_agents_file_has_the_options_and_is_its_owners_alone(
    secured: Settings, tmp_path: Path, agent: str
) -> None:
    settings = secured.model_copy(
        update={
            "source": secured.source.model_copy(
                update={"agent": agent, "log_dir": Path("/聊天 ${env:HOME}")}
            )
        }
    )
    path = tmp_path / "agent.properties"
    path.touch(0o644)
    assert write_agent_configuration(settings, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert not write_agent_configuration(settings, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().isascii()
    found = {name.rpartition(".producer.")[2]: value for name, value in properties(path).items()}
    wanted = {
        name: value.replace("${", "$${")
        for name, value in java_kafka_options(settings.kafka).items()
        if name != "bootstrap.servers"
    }
    assert {name: found[name] for name in wanted} == wanted
    assert read_configuration(path).log_dir == settings.source.log_dir


# --- MySQL


def test_a_ca_of_mysql_demands_a_verified_connection() -> None:
    plain = MySQLSettings(host="h", password=SecretStr("p"))
    assert not [name for name in mysql_arguments(plain) if name.startswith("ssl")]
    verified = mysql_arguments(
        MySQLSettings(host="h", password=SecretStr("p"), ca_file=Path(__file__))
    )
    assert {name: value for name, value in verified.items() if name.startswith("ssl")} == {
        "ssl_ca": __file__,
        "ssl_verify_cert": True,
        "ssl_verify_identity": True,
    }


# --- HiveServer2


@pytest.fixture
def sasl_server() -> Iterator[tuple[int, list[bytes]]]:
    """A server that takes the first message of a SASL handshake and ends; its port, and the
    message.
    """
    got: list[bytes] = []
    with socket.create_server((LOOPBACK, 0)) as listener:

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                while b"\0" not in b"".join(got)[20:]:
                    got.append(connection.recv(4096))

        thread = Thread(target=take)
        thread.start()
        yield listener.getsockname()[1], got
        thread.join()


@pytest.mark.parametrize(
    ("auth", "password", "sent"),
    [("NONE", None, b"x"), ("LDAP", "s3cret", b"s3cret"), ("CUSTOM", "s3cret", b"s3cret")],
)
def test_hives_password_is_sent_as_the_server_authenticates(
    sasl_server: tuple[int, list[bytes]], auth: str, password: str | None, sent: bytes
) -> None:
    port, got = sasl_server
    hive = HiveSettings.model_validate(
        {"host": LOOPBACK, "port": port, "auth": auth, "username": "analyst", "password": password}
    )
    with pytest.raises(TTransportException):
        hive_transport(hive, 5)[0].open()
    assert b"PLAIN" in b"".join(got)
    assert b"".join(got).endswith(b"analyst\0" + sent)


def test_kerberos_names_the_package_that_it_needs() -> None:
    with pytest.raises(SettingsError, match="hive.auth: KERBEROS needs the Python package"):
        hive_transport(HiveSettings(host="h", port=1, auth="KERBEROS"), 1)


# --- where a secret must not be


# Dagster's own use of a name that it will give up; its version is pinned.
@pytest.mark.filterwarnings("ignore:Property `OpDefinition.version`:DeprecationWarning")
def test_no_secret_is_in_what_the_code_server_tells(secured: Settings) -> None:
    from qimo_assets.definitions import build_definitions

    told = serialize_value(RepositorySnap.from_def(build_definitions(secured).get_repository_def()))
    assert "127.0.0.1:9" in told
    assert [
        name for name, secret in SECRETS.items() if secret in told or secret.split('"')[0] in told
    ] == []


def test_no_secret_is_among_sparks_properties(secured: Settings) -> None:
    shown = " ".join(f"--conf {name}={value}" for name, value in spark_properties(secured).items())
    assert [name for name, secret in SECRETS.items() if secret in shown] == []


def test_the_shown_configuration_of_the_agent_has_asterisks(secured: Settings) -> None:
    shown = agent_configuration(secured, secrets=False)
    assert [name for name, secret in SECRETS.items() if secret.split('"')[0] in shown] == []
    assert shown.count("********") == 3


def test_another_master_gets_the_jars_and_may_reach_the_driver(secured: Settings) -> None:
    local = spark_properties(secured)
    assert (local["spark.driver.bindAddress"], "spark.jars" in local) == (LOOPBACK, False)
    spark = secured.spark.model_copy(
        update={
            "master": "spark://master:7077",
            "jars": [Path("/a.jar"), Path("/b.jar")],
            "conf": {"spark.executor.memory": "4g"},
        }
    )
    remote = spark_properties(secured.model_copy(update={"spark": spark}))
    assert (remote["spark.master"], remote["spark.jars"], remote["spark.executor.memory"]) == (
        "spark://master:7077",
        "/a.jar,/b.jar",
        "4g",
    )
    assert "spark.driver.bindAddress" not in remote
    assert os.pathsep.join(["/a.jar", "/b.jar"]) == remote["spark.driver.extraClassPath"]
