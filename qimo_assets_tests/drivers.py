"""A Spark driver of a test module's own, as the streaming job has it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from pyspark.sql import SparkSession

from benchmarks.lakes import spark_session
from qimo_assets.settings import PROJECT_ROOT, Settings
from qimo_assets.stack.java import java_home
from qimo_assets_tests import jvm


@contextmanager
def driver(settings: Settings) -> Generator[SparkSession, None, None]:
    """Start a driver, and end it with its JVM: another one's properties would hold in it."""
    with pytest.MonkeyPatch.context() as patch:
        # Set by spark_resource for the whole process, and by the stack for the workers.
        for name, value in {
            "JAVA_HOME": str(java_home()),
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(PROJECT_ROOT),
            "JAVA_TOOL_OPTIONS": jvm.options(),
        }.items():
            patch.setenv(name, value)
        with spark_session(settings) as session:
            yield session
