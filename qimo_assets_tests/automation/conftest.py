"""The platform's definitions, built once a module."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from qimo_assets.settings import load_settings
from qimo_assets_tests.unit.conftest import REQUIRED


@pytest.fixture(scope="module")
def repository() -> Iterator[dg.RepositoryDefinition]:
    """The platform with required settings to which nothing listens."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in REQUIRED.items():
            patch.setenv(name, value)
        load_settings.cache_clear()
        # It builds the definitions as it is imported, and needs settings for that.
        from qimo_assets.definitions import build_definitions

        yield build_definitions(load_settings()).get_repository_def()
    load_settings.cache_clear()
