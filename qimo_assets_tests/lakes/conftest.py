"""A lake for each test, on systems that all of them share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from qimo_assets.stack import control, install
from qimo_assets.stack.download import alone
from qimo_assets.stack.layout import current_layout
from qimo_assets_tests.conftest import (
    SYSTEMS,
    TEST_PORT_OFFSET,
    Stack,
    end,
    environment_of,
    new_stack,
)
from qimo_assets_tests.lakes.lake import Lake, WarmDriver

# Beside the stack that other tests share.
PORT_OFFSET = TEST_PORT_OFFSET + 400


@pytest.fixture(scope="session")
def systems(
    software: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The systems without the platform, which would take half a processor from tests that do not
    look at it. The workers of a session share them: the first one starts them, and the last one
    ends them.
    """
    is_worker = hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if is_worker else base
    session = os.getppid() if is_worker else os.getpid()
    mine = shared / f"uses-systems-{os.getpid()}"
    stack = new_stack(Path("/tmp", f"qimo-lakes-{session}"), PORT_OFFSET)
    try:
        with alone(shared):
            mine.touch()
            _start(stack)
        yield stack
    finally:
        with alone(shared):
            mine.unlink()
            if not list(shared.glob("uses-systems-*")):
                end(stack)


def _start(stack: Stack) -> None:
    with environment_of(stack):
        layout = current_layout()
        if not control.is_running(layout, "thriftserver"):
            install.configure(layout)
            install.format_data(layout)
            control.start(layout, print, only=SYSTEMS)


@pytest.fixture(scope="session")
def warm_driver(systems: Stack) -> Iterator[WarmDriver]:
    """A driver for the runs of all lakes that nothing kills."""
    driver = WarmDriver(systems.layout().log)
    yield driver
    driver.end()


@pytest.fixture
def lake(systems: Stack, warm_driver: WarmDriver) -> Lake:
    """A new lake, and its topic."""
    lake = Lake(systems, f"lake_{uuid4().hex[:8]}", warm_driver)
    lake.kafka.ensure_topic()
    return lake
