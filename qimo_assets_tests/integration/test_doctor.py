"""What `doctor` tells of a stack that runs, and of a part of it that does not."""

from __future__ import annotations

import json

from qimo_assets.doctor import QUESTIONS
from qimo_assets.stack import control
from qimo_assets_tests.conftest import Stack


def test_everything_works_and_no_password_is_told(stack: Stack) -> None:
    done = stack.qimo("doctor", "--json", check=False)
    told = json.loads(done.stdout)
    assert [item for item in told["questions"] if not item["ok"]] == []
    assert (told["ok"], done.returncode, len(told["questions"])) == (True, 0, len(QUESTIONS))
    secrets = [
        path.read_text()
        for path in (stack.home / "secrets").iterdir()
        if path.name.startswith("mysql_")
    ]
    assert secrets
    assert [secret for secret in secrets if secret in done.stdout + done.stderr] == []


def test_what_is_away_is_named_with_what_to_do(stack: Stack) -> None:
    control.stop(stack.layout(), print, only={"report"})
    try:
        done = stack.qimo("doctor", check=False)
    finally:
        control.start(stack.layout(), print, only={"report"})
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL")] == [
        "report"
    ]
    assert "Connection refused" in done.stdout
    assert "Start python -m qimo_assets.report.serve" in done.stdout
