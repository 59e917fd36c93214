"""The matrix of this session: which faults, how often, and where the table goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.faults import report
from qimo_assets_tests.faults.hits import FAULTS
from qimo_assets_tests.faults.matrix import Matrix, plan


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each hit."""
    if {"fault", "number"} <= set(metafunc.fixturenames):
        hits = plan(FAULTS, int(metafunc.config.option.kills))
        metafunc.parametrize(("fault", "number"), hits, ids=[f"{fault.name}-{number + 1}" for fault, number in hits])


@pytest.fixture(scope="session")
def recounts_each(request: pytest.FixtureRequest) -> bool:
    """Whether each row ends with a recount of its own, as in the full matrix; the reduced one recounts once, after all."""
    return bool(request.config.option.kills)


@pytest.fixture(scope="session")
def matrix(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """The matrix on the shared stack; its table is printed, and written where `--report` says."""
    matrix = Matrix(stack, request.config.option.seed)
    matrix.begin()
    yield matrix
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.write_line(f"\nseed {matrix.seed}\n{report.table(matrix.rows)}")


@pytest.fixture(autouse=True)
def written(matrix: Matrix, request: pytest.FixtureRequest) -> Iterator[None]:
    """Write the table after each row: a matrix that is broken off leaves what it has seen."""
    yield
    option = request.config.option
    if option.report:
        report.write(Path(option.report), matrix.rows, f"./qimo test faults --kills {option.kills} --seed {matrix.seed}", matrix.seed)
