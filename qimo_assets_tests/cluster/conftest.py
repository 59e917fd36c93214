"""What is hit in a cluster, and the matrix that watches what becomes of the lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from qimo_assets.stack.profiles import CLUSTER
from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.faults.matrix import Matrix


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out where the stack is no cluster."""
    return None if config.option.profile == CLUSTER.name else True


@pytest.fixture(scope="session")
def matrix(stack: Stack, request: pytest.FixtureRequest) -> Matrix:
    """The matrix on the shared stack."""
    matrix = Matrix(stack, request.config.option.seed, [])
    matrix.begin()
    return matrix
