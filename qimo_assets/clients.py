"""How each client library takes the settings: one place for what the resources, the streaming job,
the agent, the recount and `doctor` share.
"""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qimo_assets.settings import (
    CHARACTER_SET,
    COLLATION,
    HiveSettings,
    KafkaSettings,
    MySQLSettings,
    SettingsError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from thrift.transport.TTransport import TTransportBase

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def librdkafka_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return how confluent-kafka's clients reach the brokers; a secret stands in it as it is."""
    options: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": kafka.security_protocol,
        "log_level": 0,
    }
    if kafka.sasl_mechanism:
        options["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.username and kafka.password:
        options |= {
            "sasl.username": kafka.username,
            "sasl.password": kafka.password.get_secret_value(),
        }
    if kafka.ca_file:
        options["ssl.ca.location"] = str(kafka.ca_file)
    if kafka.client_file:
        options |= {
            "ssl.certificate.location": str(kafka.client_file),
            "ssl.key.location": str(kafka.client_file),
        }
    if kafka.client_key_password:
        options["ssl.key.password"] = kafka.client_key_password.get_secret_value()
    if not kafka.verify_hostname:
        options["ssl.endpoint.identification.algorithm"] = "none"
    return options | {
        name: value.get_secret_value() for name, value in kafka.librdkafka_options.items()
    }


def java_kafka_options(kafka: KafkaSettings) -> dict[str, str]:
    """Return how Kafka's Java clients (2.7 and later) reach the brokers; a secret stands in it as
    it is.
    """
    options = {"bootstrap.servers": kafka.bootstrap, "security.protocol": kafka.security_protocol}
    if kafka.sasl_mechanism:
        options["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.username and kafka.password and kafka.sasl_mechanism:
        account = (
            f"username={_quoted(kafka.username)} "
            f"password={_quoted(kafka.password.get_secret_value())}"
        )
        options["sasl.jaas.config"] = f"{_LOGIN_MODULES[kafka.sasl_mechanism]} required {account};"
    if kafka.ca_file:
        options |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(kafka.ca_file)}
    if kafka.client_file:
        options |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(kafka.client_file)}
    if kafka.client_key_password:
        options["ssl.key.password"] = kafka.client_key_password.get_secret_value()
    if not kafka.verify_hostname:
        options["ssl.endpoint.identification.algorithm"] = ""
    return options | {name: value.get_secret_value() for name, value in kafka.java_options.items()}


def mysql_arguments(mysql: MySQLSettings) -> dict[str, Any]:
    """Return how the driver connects to the reporting database, with the time-out of the
    connection; the password stands in it as it is.
    """
    return {
        "host": mysql.host,
        "port": mysql.port,
        "database": mysql.database,
        "user": mysql.username,
        "password": mysql.password.get_secret_value(),
        "charset": CHARACTER_SET,
        # The driver's default collation is missing on older MariaDB.
        "collation": COLLATION,
        "connection_timeout": int(mysql.timeout_seconds),
        **mysql_tls(mysql.ca_file),
    }


def mysql_tls(ca_file: Path | None) -> dict[str, Any]:
    """Return the driver's options of TLS. Without a CA it encrypts where the server can, and takes
    any certificate.
    """
    return (
        {"ssl_ca": str(ca_file), "ssl_verify_cert": True, "ssl_verify_identity": True}
        if ca_file
        else {}
    )


def hive_transport(hive: HiveSettings, seconds: float) -> tuple[TTransportBase, Any]:
    """Return the transport to HiveServer2 that PyHive takes, not opened yet, and its socket, whose
    time-out may be set again.

    PyHive makes the same ones, but for the time-out, which it has not.

    Args:
        hive: The server and its authentication.
        seconds: Time-out of the connection and of each answer.

    Raises:
        SettingsError: The authentication needs a library that is not installed.
    """
    from pyhive.hive import get_installed_sasl
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TSSLSocket import TSSLSocket
    from thrift.transport.TTransport import TBufferedTransport
    from thrift_sasl import TSaslClientTransport

    if hive.auth == "KERBEROS" and not any(find_spec(name) for name in ("kerberos", "sasl")):
        raise SettingsError(
            "hive.auth: KERBEROS needs the Python package kerberos (or sasl), which "
            "requirements.lock does not bring."
        )
    context = ssl.create_default_context(cafile=str(hive.ca_file)) if hive.ca_file else None
    socket = (
        TSSLSocket(hive.host, hive.port, ssl_context=context)
        if context
        else TSocket(hive.host, hive.port)
    )
    socket.setTimeout(seconds * 1000)
    if hive.auth == "NOSASL":
        return TBufferedTransport(socket), socket
    mechanism = "GSSAPI" if hive.auth == "KERBEROS" else "PLAIN"
    service = hive.kerberos_service_name if hive.auth == "KERBEROS" else None
    # Without authentication the password does not matter, but it must not be empty.
    password = hive.password.get_secret_value() if hive.password else "x"

    def sasl() -> Any:
        return get_installed_sasl(
            host=hive.host,
            sasl_auth=mechanism,
            service=service,
            username=hive.username,
            password=password,
        )

    return TSaslClientTransport(sasl, mechanism, socket), socket


def _quoted(text: str) -> str:
    """Return a text as a value of a JAAS configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
