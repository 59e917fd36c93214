"""Finding and rendering the SQL of the views; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from qimo_assets.contract import FIELDS, MAX_VALUES, OTHERS, REASONS_ZH, UNKNOWN

SQL_DIR = Path(__file__).parent / "sql"
MESSAGE_VIEW = "v_message"
QUARANTINE_VIEW = "v_quarantine"
# What Hudi appends to the name of a table that shows every commit, and that shows base files alone.
# The second is read a third faster, and misses what stands in log files: deletions and corrections.
SNAPSHOT, BASE_FILES = "_rt", "_ro"
# What stands between the columns of a view and its query.
_BODY = "\nAS\n"

_ENVIRONMENT = Environment(
    undefined=StrictUndefined,
    autoescape=False,
    keep_trailing_newline=False,
    trim_blocks=True,
    lstrip_blocks=True,
)  # nosec B701  # SQL, no HTML


@cache
def read_sql(path: Path) -> str:
    """Return the text of a .sql file."""
    return path.read_text(encoding="utf-8")


def load_sql(*directories: Path) -> None:
    """Read and compile all .sql files of some directories. A run is forked from what is loaded: it
    would read a file that was changed since beside the code of before.
    """
    for directory in directories:
        for path in directory.glob("*.sql"):
            _template(path)


def render(path: Path, **values: object) -> str:
    """Return the statement in a .sql file with its placeholders filled; a placeholder without a
    value is an error.
    """
    return _template(path).render(**values)


def view_names() -> list[str]:
    """Return the views, the one that all others read first."""
    return sorted(
        (path.stem for path in SQL_DIR.glob("*.sql")), key=lambda name: (name != MESSAGE_VIEW, name)
    )


def view_statement(name: str, database: str) -> str:
    """Return the statement that creates a view."""
    return render(SQL_DIR / f"{name}.sql", **_values(database))


def has_part(name: str, part: str) -> bool:
    """Return whether a view marks a part of its SQL by this name."""
    return part in _template(SQL_DIR / f"{name}.sql").blocks


def view_part(name: str, part: str, database: str) -> str:
    """Return a part of a view's SQL, which the file marks as a block: the query that stands
    innermost in it.
    """
    template = _template(SQL_DIR / f"{name}.sql")
    context = template.new_context(_values(database))
    return "".join(template.blocks[part](context)).strip("\n")


def query_over(name: str, part: str, database: str, relation: str) -> str:
    """Return what a view is, as the beginning of a query that reads it by its name, with another
    query in the place of one of its parts.

    Args:
        name: The view.
        part: The part that is replaced.
        database: Hive database of the tables and views.
        relation: The query that stands in for it, of the same columns.
    """
    statement = view_statement(name, database)
    columns = ", ".join(f"`{column}`" for column in declared_columns(statement))
    body = statement.partition(_BODY)[2].replace(view_part(name, part, database), relation)
    return f"WITH `{name}` ({columns}) AS (\n{body}\n)\n"


def message_rows(database: str, columns: Iterable[str], only: str, reading: str = SNAPSHOT) -> str:
    """Return the query for columns of the messages that a condition on the table leaves.

    Args:
        database: Hive database of the tables and views.
        columns: Columns of the view of all messages.
        only: The condition, on the columns of the table.
        reading: `SNAPSHOT` or `BASE_FILES`.
    """
    values = {**_values(database), "only": f" WHERE {only}", "reading": reading}
    whole = render(SQL_DIR / f"{MESSAGE_VIEW}.sql", **values)
    return f"SELECT {', '.join(columns)} FROM ({whole.partition(_BODY)[2]})"  # nosec B608  # names of the views


@cache
def _template(path: Path) -> Template:
    return _ENVIRONMENT.from_string(read_sql(path))


def _values(database: str) -> dict[str, object]:
    return {
        "database": database,
        "unknown": UNKNOWN,
        "others": OTHERS,
        "max_values": MAX_VALUES,
        "rejections": {reason.value: text for reason, text in REASONS_ZH.items()},
        "added": {
            column: comment
            for field in FIELDS
            if field.added
            for column, comment in field.columns.items()
        },
        # What a query of some messages adds to the reading of the table.
        "only": "",
        "reading": SNAPSHOT,
    }


def declared_columns(statement: str) -> dict[str, str]:
    """Return the columns of a CREATE VIEW statement, in order, with their comments."""
    header, _, _ = statement.partition("\n)\n")
    return dict(re.findall(r"^  (\w+) COMMENT '([^']*)'", header, re.MULTILINE))


def message_columns(queries: Iterable[str], database: str) -> list[str]:
    """Return the columns of the view of all messages that queries name, in its order."""
    words = {word for query in queries for word in re.findall(r"\w+", re.sub(r"--.*", "", query))}
    return [
        column
        for column in declared_columns(view_statement(MESSAGE_VIEW, database))
        if column in words
    ]


def reads(name: str) -> list[str]:
    """Return the views and tables that a view reads directly, in alphabetical order."""
    return sorted(
        set(re.findall(r"\b(?:FROM|JOIN) {{ database }}\.(\w+)", read_sql(SQL_DIR / f"{name}.sql")))
    )


def lake_tables(name: str) -> list[str]:
    """Return the tables of the lake that a view reads, directly or through other views, in
    alphabetical order.
    """
    found = {
        table
        for source in reads(name)
        for table in (
            lake_tables(source) if source in view_names() else [source.removesuffix(SNAPSHOT)]
        )
    }
    return sorted(found)


def view_description(name: str) -> str:
    """Return the comment at the top of a view's file."""
    lines = read_sql(SQL_DIR / f"{name}.sql").splitlines()
    return " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))
