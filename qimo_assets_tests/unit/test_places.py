"""Which tests share a worker, and in which order they come."""

from __future__ import annotations

import pytest

from qimo_assets_tests.conftest import (
    ON_THE_STACK,
    PLACES,
    STACK,
    TIERS,
    place_of,
    tier_of,
)


@pytest.mark.parametrize(
    "test",
    [
        "integration/test_end_to_end.py",
        "integration/test_another.py",
        "faults/test_matrix.py",
    ],
)
def test_what_needs_the_stack_shares_a_worker(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it[a::b]") == STACK


@pytest.mark.parametrize(
    "test", ["contract/test_agent.py", "lakes/test_backup.py", "unit/test_cli.py"]
)
def test_any_other_file_is_a_place_of_its_own(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it") == f"qimo_assets_tests/{test}"


def test_each_tier_has_its_turn() -> None:
    assert {*TIERS} - {*PLACES} == ON_THE_STACK
    assert tier_of("qimo_assets_tests/unit/test_places.py::test_it") == "unit"
