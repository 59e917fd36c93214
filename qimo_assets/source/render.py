"""Fills the agent's configurations in flume_conf/ in from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from qimo_assets.settings import PROJECT_ROOT, Settings, SettingsError

FLUME_CONF = PROJECT_ROOT / "flume_conf"
# What a record holds beside the line: headers with two paths of at most 4 KiB, Avro's and Kafka's own bytes, and LZ4's for what it cannot compress.
RECORD_OVERHEAD_BYTES = 65_536


def agent_configuration(settings: Settings) -> str:
    """Return the configuration of the agent that `settings.source.agent` names.

    Raises:
        SettingsError: There is no such configuration, or a line too long for the topic would be cut to one that is not too long for the lake.
    """
    longest = settings.kafka.max_message_bytes - RECORD_OVERHEAD_BYTES
    if longest <= settings.lake.max_line_bytes:
        raise SettingsError(
            f"kafka.max_message_bytes must be more than lake.max_line_bytes + {RECORD_OVERHEAD_BYTES:,}: the agent cuts a line to what the topic takes, "
            "and the cut line must still be seen to be too long."
        )
    names = sorted(path.stem for path in FLUME_CONF.glob("*.properties"))
    if settings.source.agent not in names:
        raise SettingsError(f"source.agent: there is no flume_conf/{settings.source.agent}.properties; there are {', '.join(names)}.")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FLUME_CONF), undefined=jinja2.StrictUndefined, keep_trailing_newline=True, finalize=_property_value, autoescape=False
    )
    return environment.get_template(f"{settings.source.agent}.properties").render(source=settings.source, kafka=settings.kafka, longest=longest)


def write_agent_configuration(settings: Settings, path: Path) -> bool:
    """Write the configuration to `path`; return whether that changed it (the agent reads a changed file by itself within 30 s)."""
    text = agent_configuration(settings)
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


def _property_value(value: Any) -> str:
    # In a Java properties file a backslash begins an escape.
    return str(value).replace("\\", "\\\\")
