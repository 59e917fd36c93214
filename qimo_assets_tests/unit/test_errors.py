"""One family of errors: every error that the platform raises is of it, and Dagster gets its words
at the edge.
"""

from __future__ import annotations

import ast
from importlib import import_module

import dagster as dg
import pytest

from qimo_assets.errors import (
    BusyError,
    ConfigurationError,
    DataLossError,
    QimoError,
    RefusedError,
    UnreachableError,
)
from qimo_assets.instance.failures import as_failure
from qimo_assets.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "qimo_assets"
# It runs under a bare python3 on a chat server, without the project.
ALONE = "qimo_assets.source.links"


def own_errors() -> list[tuple[str, str]]:
    """Return module and name of each class of the package that is an exception by its bases."""
    found: list[tuple[str, str]] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in getattr(node, "bases", ())]
            # A wrong argument is click's own: its exit status is 2.
            if isinstance(node, ast.ClassDef) and any(
                base.endswith(("Error", "Exception")) and not base.startswith("click.")
                for base in bases
            ):
                found.append((module, node.name))
    return found


@pytest.mark.parametrize(("module", "name"), own_errors())
def test_each_error_is_of_the_family(module: str, name: str) -> None:
    assert module == ALONE or issubclass(getattr(import_module(module), name), QimoError)


def test_only_assets_and_sensors_speak_of_dagsters_failure() -> None:
    resources = [
        path.name for path in (PACKAGE / "resources").glob("*.py") if "Failure" in path.read_text()
    ]
    assert resources == []


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (BusyError, False),
        (ConfigurationError, False),
        (DataLossError, False),
        (RefusedError, True),
        (UnreachableError, True),
    ],
)
def test_a_failure_has_the_words_and_is_tried_again_where_that_may_help(
    kind: type[QimoError], again: bool
) -> None:
    with pytest.raises(dg.Failure) as raised, as_failure():
        raise kind("Kafka is away. Is it up?")
    assert raised.value.description == "Kafka is away. Is it up?"
    assert raised.value.allow_retries is again


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), as_failure():
        raise ZeroDivisionError
