"""The report's server where it is reached from other machines: TLS, a name and a password, and a
refusal to start without them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qimo_assets import probes
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, load_settings
from qimo_assets.stack.certificates import Authority
from qimo_assets_tests.conftest import free_ports, own_environment, wait_for
from qimo_assets_tests.unit.conftest import REQUIRED

PASSWORD = "ein Geheimnis 密"  # pragma: allowlist secret  # made up for a test


def environment(directory: Path, **report: str) -> dict[str, str]:
    """Return the variables of a server whose report is in a directory."""
    given = {f"QIMO_REPORT__{name.upper()}": value for name, value in report.items()}
    home = {
        "QIMO_HOME": str(directory / "home"),
        "QIMO_REPORT__DIRECTORY": str(directory / "report"),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    return {**own_environment(), **REQUIRED, **home, **given}


COMMAND = [sys.executable, "-m", "qimo_assets.report.serve"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a server that listens on every address."""
    directory = tmp_path_factory.mktemp("served")
    pem = Authority(directory).issue("server", "report.example")
    port = str(free_ports()["report"])
    env = environment(
        directory, host="0.0.0.0", port=port, access_password=PASSWORD, server_file=str(pem)
    )
    process = subprocess.Popen(COMMAND, env=env, cwd=directory)
    try:
        yield env
    finally:
        process.terminate()
        process.wait(30)


def test_who_gives_name_and_password_gets_the_page_and_nobody_else(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    report = load_settings().report
    load_settings.cache_clear()
    assert report.address == f"https://0.0.0.0:{report.port}/"
    url = report.address.replace("0.0.0.0", LOOPBACK)

    def answer(headers: dict[str, str]) -> str:
        try:
            probes.report_page(url, 10, headers, report.server_file)
        except probes.ProbeError as error:
            return str(error)
        except OSError:
            return ""
        return "the page"

    assert wait_for(lambda: answer({}), 60).startswith("HTTP 401")
    assert answer(probes.basic_authorization(report.access_username, PASSWORD)) == "the page"
    for wrong in (
        probes.basic_authorization(report.access_username, "wrong"),
        {"Authorization": "Basic"},
        {"Authorization": "Bearer x"},
    ):
        assert answer(wrong).startswith("HTTP 401")


@pytest.mark.parametrize("given", [{}, {"access_password": "x"}])
def test_without_a_password_or_a_certificate_it_does_not_start(
    tmp_path: Path, given: dict[str, str]
) -> None:
    done = subprocess.run(
        COMMAND,
        env=environment(tmp_path, host="0.0.0.0", **given),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert (
        f"report.{'server_file' if given else 'access_password'}: is needed, because host "
        "0.0.0.0 is not the loopback" in done.stderr
    )
    assert not (tmp_path / "report").exists()
