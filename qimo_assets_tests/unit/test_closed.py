"""What the source itself has to keep closed, and that each claim of docs/security.md names a test
that there is.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from qimo_assets.settings import PROJECT_ROOT

TESTS = PROJECT_ROOT / "qimo_assets_tests"
PAGE = PROJECT_ROOT / "docs" / "security.md"
CLAIMED = re.compile(r"`(\w+/test_\w+\.py)::(test_\w+)`")
# What starts a shell, or runs text as code.
SHELLS = {
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "eval",
    "exec",
    "pickle.loads",
    "yaml.load",
}


@pytest.mark.parametrize(
    "module",
    sorted((PROJECT_ROOT / "qimo_assets").rglob("*.py")),
    ids=lambda path: str(path.relative_to(PROJECT_ROOT)),
)
def test_no_shell_is_built_from_data(module: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    shells = [
        ast.unparse(call.func)
        for call in calls
        if ast.unparse(call.func) in SHELLS
        or any(keyword.arg == "shell" for keyword in call.keywords)
    ]
    assert shells == []


def test_python_packages_are_installed_by_their_hashes() -> None:
    text = (PROJECT_ROOT / "qimo").read_text()
    assert text.count("pip install") == text.count("--require-hashes -r") == 2


def test_each_claim_names_tests_that_there_are() -> None:
    claims = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and "::test_" in line
    ]
    named = {pair for line in claims for pair in CLAIMED.findall(line)}
    assert len(claims) > 25
    assert [
        name
        for file, name in sorted(named)
        if not (TESTS / file).exists() or f"def {name}(" not in (TESTS / file).read_text()
    ] == []


def test_each_row_of_a_table_of_claims_names_a_test() -> None:
    text = PAGE.read_text()
    rows = [
        line
        for table in re.findall(r"\| claim \| test \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
        for line in table.splitlines()
    ]
    assert [row for row in rows if not CLAIMED.search(row)] == []
