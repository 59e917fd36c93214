"""Fills the agent's configurations in flume_conf/ in from the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
from pydantic import SecretStr

from qimo_assets.clients import java_kafka_options
from qimo_assets.settings import PROJECT_ROOT, KafkaSettings, Settings, SettingsError, write_private

FLUME_CONF = PROJECT_ROOT / "flume_conf"
# What a record holds beside the line: headers with two paths of at most 4 KiB, Avro's and Kafka's
# own bytes, and LZ4's for what it cannot compress.
RECORD_OVERHEAD_BYTES = 65_536
HIDDEN = SecretStr("********")


def agent_configuration(settings: Settings, *, secrets: bool) -> str:
    """Return the configuration of the agent that `settings.source.agent` names.

    Args:
        settings: The platform's settings.
        secrets: Whether passwords stand in it, or asterisks in their place.

    Raises:
        SettingsError: There is no such configuration, or a line too long for the topic would be cut
            to one that is not too long for the lake.
    """
    longest = settings.kafka.max_message_bytes - RECORD_OVERHEAD_BYTES
    if longest <= settings.lake.max_line_bytes:
        raise SettingsError(
            "kafka.max_message_bytes must be more than lake.max_line_bytes + "
            f"{RECORD_OVERHEAD_BYTES:,}: the agent cuts a line to what the topic takes, "
            "and the cut line must still be seen to be too long."
        )
    names = sorted(path.stem for path in FLUME_CONF.glob("*.properties"))
    if settings.source.agent not in names:
        raise SettingsError(
            f"source.agent: there is no flume_conf/{settings.source.agent}.properties; "
            f"there are {', '.join(names)}."
        )
    environment = jinja2.Environment(  # nosec B701  # a properties file, no HTML
        loader=jinja2.FileSystemLoader(FLUME_CONF),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        finalize=_property_value,
        autoescape=False,
    )
    kafka = settings.kafka if secrets else masked(settings.kafka)
    return environment.get_template(f"{settings.source.agent}.properties").render(
        source=settings.source, kafka=kafka, client=java_kafka_options(kafka), longest=longest
    )


def masked(kafka: KafkaSettings) -> KafkaSettings:
    """Return the settings with asterisks for each secret."""
    options = dict.fromkeys(kafka.java_options, HIDDEN)
    secrets = {name: HIDDEN for name in ("password", "client_key_password") if getattr(kafka, name)}
    return kafka.model_copy(update={**secrets, "java_options": options})


def write_agent_configuration(settings: Settings, path: Path) -> bool:
    """Write the configuration to `path`, its owner's alone; return whether that changed it (the
    agent reads a changed file by itself within 30 s).
    """
    text = agent_configuration(settings, secrets=True)
    if path.exists() and path.read_text() == text:
        path.chmod(0o600)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, text)
    return True


def _property_value(value: Any) -> str:
    """Return a value as Flume reads it: ISO-8859-1, in which a backslash begins an escape, and `${`
    a look-up unless a `$` stands before it.
    """
    text = str(value).replace("\\", "\\\\").replace("${", "$${")
    return "".join(
        character if " " <= character <= "~" else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return re.sub("(....)", r"\\u\1", character.encode("utf-16-be").hex())
