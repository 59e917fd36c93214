"""Tables as Dagster's pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

Value = str | int | float | bool | None


def table(names: Sequence[str], rows: Iterable[Sequence[Value]]) -> dg.TableMetadataValue:
    """Return rows as a table that Dagster draws, and escapes, by itself.

    Args:
        names: Names of the columns; the kind of each is that of its first value.
        rows: The rows.
    """
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return dg.MetadataValue.table(
        [dg.TableRecord(record) for record in found],
        schema=dg.TableSchema(
            [dg.TableColumn(name, _kind(found[0][name] if found else "")) for name in names]
        ),
    )


def _kind(value: Value) -> str:
    kinds: dict[type, str] = {bool: "bool", int: "int", float: "float"}
    return kinds.get(type(value), "string")
