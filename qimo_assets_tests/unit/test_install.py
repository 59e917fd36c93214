"""Installing the software: what two who do it at once find in the end."""

from __future__ import annotations

import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from qimo_assets.stack import install
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import Layout, current_layout

PROGRAMS = [f"program{number}" for number in range(300)]


@pytest.fixture
def layout(home: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A layout whose jars are there: MariaDB's holds programs of a few bytes."""
    monkeypatch.setattr(install, "install_jars", lambda layout: 0)
    layout = current_layout()
    layout.make_directories()
    jar = class_path(layout, "mariadb")[0]
    jar.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(jar, "w") as archive:
        for name in ("mariadbd", *PROGRAMS):
            archive.writestr(f"somewhere/bin/{name}", name)
    return layout


def test_two_who_install_at_once_both_find_every_program(layout: Layout) -> None:
    together = Barrier(2, timeout=10)

    def one() -> int:
        together.wait()
        return install.install(layout)

    with ThreadPoolExecutor(2) as both:
        assert [each.result() for each in [both.submit(one) for _ in range(2)]] == [0, 0]
    programs = list((layout.install / "mariadb" / "bin").iterdir())
    assert {program.name for program in programs} == {"mariadbd", *PROGRAMS}
    assert all(program.stat().st_mode & stat.S_IXUSR for program in programs)
    assert not (layout.install / "mariadb.staging").exists()
