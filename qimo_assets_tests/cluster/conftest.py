"""The matrix that watches what becomes of the lines while a member is hit."""

from __future__ import annotations

import pytest

from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.faults.matrix import Matrix


@pytest.fixture(scope="session")
def matrix(stack: Stack, request: pytest.FixtureRequest) -> Matrix:
    """The matrix on the shared stack."""
    matrix = Matrix(stack, request.config.option.seed, [])
    matrix.begin()
    return matrix
