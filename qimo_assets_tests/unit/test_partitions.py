"""The days that there are: from the first day on, which is a setting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from qimo_assets.settings import LakeSettings, load_settings
from qimo_assets_tests.unit.conftest import REQUIRED

FIRST_KEY = "from qimo_assets.partitions import daily; print(daily.get_first_partition_key())"


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({**REQUIRED, "QIMO_LAKE__FIRST_DAY": "2026-11-01"}, "2026-11-01"),
        (REQUIRED, "2021-01-01"),
        # What is missing is said by whoever needs it.
        ({}, "2021-01-01"),
    ],
)
def test_the_partitions_begin_with_the_first_day(
    home: Path, environment: dict[str, str], first: str
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FIRST_KEY],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == first


def test_the_first_day_of_a_dead_clock_is_no_first_day(required: Path) -> None:
    lake = load_settings().lake.model_dump()
    with pytest.raises(ValidationError, match="first_day"):
        LakeSettings.model_validate(lake | {"first_day": "1970-01-01"})
