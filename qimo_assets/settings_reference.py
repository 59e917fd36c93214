"""The reference of all settings, made from their types and descriptions: docs/settings.md.

`python -m qimo_assets.settings_reference > docs/settings.md` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from qimo_assets.settings import Group, Settings

# What a reader calls the types that a setting may have.
NAMES: dict[Any, str] = {
    SecretStr: "secret",  # pragma: allowlist secret  # the word for a type
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Path: "path",
}

HEAD = """\
# Settings

Each setting stands in the settings file (`QIMO_CONFIG`, else `$QIMO_HOME/qimo.toml`) as `name` in
the table of its group, or in the environment as `QIMO_GROUP__NAME`, which wins. A secret may stand
in a file of its own, named by the setting with `_file` (`QIMO_GROUP__NAME_FILE`) at its end.

This page is made from `qimo_assets/settings.py`:

    .qimo/install/venv/bin/python -m qimo_assets.settings_reference > docs/settings.md
"""


def reference() -> str:
    """Return the reference as Markdown: a section a group, a row a setting."""
    sections = [_section(name, group) for name, group in _groups(Settings)]
    return "\n".join([HEAD, *sections])


def _groups(model: type[BaseModel]) -> Iterator[tuple[str, type[Group]]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield name, field.annotation


def _section(name: str, group: type[Group]) -> str:
    rows = [_row(setting, field) for setting, field in group.model_fields.items()]
    head = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", _summary(group), "", *head, *rows, ""])


def _summary(group: type[Group]) -> str:
    return " ".join((group.__doc__ or "").split())


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    cells = (f"`{name}`", _type(field.annotation), _default(field), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in NAMES:
        return NAMES[annotation]
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    if arguments and origin is not None:
        if all(isinstance(argument, str) for argument in arguments):
            return ", ".join(f"`{argument}`" for argument in arguments)
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    return str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default is None:
        return ""
    return f"`{field.default}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
