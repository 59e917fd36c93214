"""Which tests share a worker, and in which order they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from qimo_assets_tests.conftest import (
    BESIDE_THE_FLOW,
    ON_THE_STACK,
    PLACES,
    STACK,
    TIERS,
    place_of,
    tier_of,
)

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "test",
    [
        "integration/test_end_to_end.py",
        "integration/test_another.py",
        "faults/test_matrix.py",
        *BESIDE_THE_FLOW,
    ],
)
def test_what_needs_the_stack_shares_a_worker(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it[a::b]") == STACK


@pytest.mark.parametrize("test", ["contract/test_agent.py", "unit/test_cli.py"])
def test_any_other_file_is_a_place_of_its_own(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it") == f"qimo_assets_tests/{test}"


def test_each_file_beside_the_flow_is_there() -> None:
    assert [name for name in BESIDE_THE_FLOW if not (TESTS / name).is_file()] == []


def test_each_tier_has_its_turn() -> None:
    assert {*TIERS} - {*PLACES} == ON_THE_STACK
    assert tier_of("qimo_assets_tests/unit/test_places.py::test_it") == "unit"
