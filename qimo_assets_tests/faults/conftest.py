"""The matrix of this session: which faults, how often, and where the table goes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets_tests.conftest import (
    TEST_PORT_OFFSET,
    UP_SECONDS,
    Stack,
    new_stack,
    short_directory,
)
from qimo_assets_tests.faults import report
from qimo_assets_tests.faults.hits import FAULTS, SMALL_DISKS
from qimo_assets_tests.faults.matrix import Matrix, Row, plan

NAMESPACE = ("unshare", "--map-root-user", "--mount")
# Beside the shared stack; no two of its usual ports are so far apart.
SMALL_DISKS_PORT_OFFSET = 50


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the full disks, which need a stack of their own, to the full matrix."""
    return (
        True if collection_path.name == "test_full_disks.py" and not config.option.kills else None
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each fault on the shared stack."""
    if {"fault", "hits"} <= set(metafunc.fixturenames):
        faults = plan(FAULTS, metafunc.config.option.kills)
        metafunc.parametrize(("fault", "hits"), faults, ids=[fault.name for fault, _ in faults])


@pytest.fixture(scope="session")
def recounts_each(request: pytest.FixtureRequest) -> bool:
    """Whether each fault ends with a recount of its own, as in the full matrix; the reduced one
    recounts once, after all.
    """
    return bool(request.config.option.kills)


@pytest.fixture(scope="session")
def rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """The rows of this session; their table is printed at the end."""
    rows: list[Row] = []
    yield rows
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.write_line(f"\nseed {request.config.option.seed}\n{report.table(rows)}")


@pytest.fixture(scope="session")
def matrix(stack: Stack, rows: list[Row], request: pytest.FixtureRequest) -> Matrix:
    """The matrix on the shared stack."""
    return _begun(Matrix(stack, request.config.option.seed, rows))


@pytest.fixture(scope="module")
def small_disks(
    software: None, rows: list[Row], request: pytest.FixtureRequest
) -> Iterator[Matrix]:
    """The matrix on a stack of its own whose HDFS and MariaDB have small disks.

    The disks are in memory, mounted in a user and mount namespace: that takes no root where a user
    may make one.
    """
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip(
            "a small disk needs a user and mount namespace, which this machine does not give"
        )
    with short_directory() as home:
        stack = new_stack(home, TEST_PORT_OFFSET + SMALL_DISKS_PORT_OFFSET)
        mounts = [
            f"mkdir -p {home}/{disk} && mount -t tmpfs -o size={size} tmpfs {home}/{disk}"
            for disk, size in SMALL_DISKS.items()
        ]
        up = " && ".join([*mounts, f"exec {PROJECT_ROOT / 'qimo'} up"])
        try:
            subprocess.run(
                [*NAMESPACE, "sh", "-c", up], env=stack.env, check=True, timeout=UP_SECONDS
            )
            yield _begun(Matrix(stack, request.config.option.seed, rows))
        finally:
            stack.qimo("down", check=False)


@pytest.fixture(autouse=True)
def written(rows: list[Row], request: pytest.FixtureRequest) -> Iterator[None]:
    """Write the table after each row: a matrix that is broken off leaves what it has seen."""
    yield
    option = request.config.option
    if option.report:
        report.write(
            Path(option.report),
            rows,
            f"./qimo test faults --kills {option.kills} --seed {option.seed}",
            option.seed,
        )


def _begun(matrix: Matrix) -> Matrix:
    matrix.begin()
    return matrix
