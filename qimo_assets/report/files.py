"""The report's files: where they stand, and writing one so that a reader sees the old or the new
one, never less.

<directory>/account.key    makes masked accounts comparable; never served
<directory>/site/          the page, as any static server can show it
<directory>/site/data/     the figures: index.json and one file for each month; charts.json, the
                           charts without figures; map.json; state.json, whether the platform lives
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
SKETCH_MAP = STATIC / "vendor" / "china.json"
KEY_BYTES = 32


@dataclass(frozen=True)
class Site:
    """The files of one report."""

    directory: Path

    @property
    def root(self) -> Path:
        """What is served."""
        return self.directory / "site"

    @property
    def index(self) -> Path:
        """Which days there are, of which content, and what each metric is called."""
        return self.root / "data" / "index.json"

    @property
    def charts(self) -> Path:
        """The options of the charts, without figures."""
        return self.root / "data" / "charts.json"

    @property
    def state(self) -> Path:
        """When the platform last looked for new figures, and what was waiting then."""
        return self.root / "data" / "state.json"

    def month(self, month: str) -> Path:
        """Return the file that holds the days of a month, such as 2026-11."""
        return self.root / "data" / f"{month}.json"

    def install(self) -> None:
        """Put the page, its script and the map in place; what is the same already is not written
        again.
        """
        for source in sorted(path for path in STATIC.rglob("*") if path.is_file()):
            write(self.root / source.relative_to(STATIC), source.read_bytes())

    def install_map(self, file: Path | None, note: str) -> None:
        """Put the map and what stands below it in place.

        Args:
            file: GeoJSON of the provinces; None for the sketch map that comes with the page.
            note: The map's approval number.
        """
        content = json.loads((file or SKETCH_MAP).read_bytes())
        write_json(self.root / "data" / "map.json", {"note": note if file else None, **content})

    def account_key(self) -> bytes:
        """Return the secret that makes two masked accounts comparable; it is made at the first
        call.
        """
        path = self.directory / "account.key"
        if not path.exists():
            write(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
        return path.read_bytes()


def read_json(path: Path) -> Any | None:
    """Return a file's content; None where there is no file, or none that can be read, so that it is
    written anew.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write_json(path: Path, content: Any) -> bool:
    """Write a value as compact JSON; return whether the file changed."""
    return write(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def write(path: Path, content: bytes, mode: int = 0o644) -> bool:
    """Replace a file in one step that also a crash leaves whole; return whether it changed."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer: the server and a run may install the page at the same time.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
