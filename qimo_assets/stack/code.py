"""Which code of the platform the stack runs: `up` records it, and a later `up` sees a change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.layout import Layout

# The services that load the platform's code.
SERVICES = frozenset({"links", "dagster-code", "dagster-webserver", "dagster-daemon", "report"})
CODE = PROJECT_ROOT / "qimo_assets"


def record(layout: Layout, code: Path = CODE) -> None:
    """Write down the code that the services were started with.

    Args:
        layout: The stack.
        code: The package's folder.
    """
    _file(layout).write_text(_digest(code))


def has_changed(layout: Layout, code: Path = CODE) -> bool:
    """Return whether the code is another than the one written down, if there is one.

    Args:
        layout: The stack.
        code: The package's folder.
    """
    file = _file(layout)
    return file.exists() and file.read_text() != _digest(code)


def _file(layout: Layout) -> Path:
    return layout.run / "code.sha256"


def _digest(code: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(code.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(code)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
