"""What unit tests share: a home of their own, and the settings that are required."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qimo_assets.settings import load_settings
from qimo_assets_tests.conftest import short_directory

# Each setting without a default, with a value to which nothing listens.
REQUIRED = {
    "QIMO_SOURCE__LOG_DIR": "/none/chat",
    "QIMO_SOURCE__POSITION_FILE": "/none/positions.json",
    "QIMO_KAFKA__BOOTSTRAP": "127.0.0.1:9",
    "QIMO_LAKE__WAREHOUSE": "file:/none/warehouse",
    "QIMO_LAKE__CHECKPOINT": "file:/none/checkpoint",
    "QIMO_LAKE__METASTORE_URIS": "thrift://127.0.0.1:9",
    "QIMO_LAKE__IP2REGION_JAR": "/none/ip2region.jar",
    "QIMO_HIVE__HOST": "127.0.0.1",
    "QIMO_HIVE__PORT": "9",
    "QIMO_MYSQL__HOST": "127.0.0.1",
    "QIMO_MYSQL__PASSWORD": "s3cret",  # pragma: allowlist secret  # made up for a test
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A QIMO_HOME that is not there yet; nothing else of the platform is set."""
    for name in list(os.environ):
        if name.startswith("QIMO_"):
            monkeypatch.delenv(name)
    with short_directory() as directory:
        monkeypatch.setenv("QIMO_HOME", f"{directory}/home")
        load_settings.cache_clear()
        yield directory / "home"
    load_settings.cache_clear()


@pytest.fixture
def required(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A QIMO_HOME that is not there yet, and every required setting in the environment."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return home
