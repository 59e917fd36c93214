"""Statements for HiveServer2 from the command line: found in a text as Spark's own shell finds
them, run one after the other in one session, and answered as a table, CSV or JSON.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal
from unicodedata import east_asian_width

from pyhive import hive
from TCLIService.ttypes import TOperationState
from thrift.Thrift import TException

from qimo_assets.clients import hive_transport
from qimo_assets.errors import QimoError
from qimo_assets.settings import HiveSettings

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")
CONNECT_SECONDS = 10
# Each call to the server is short, for a statement is asked after while it runs. The first one of a
# server that has just started loads its classes.
CALL_SECONDS = 120
POLL_SECONDS = 0.05
MAX_POLL_SECONDS = 1.0
# Widths of a table's columns are those of so many rows; a wider cell after them is shown whole.
MEASURED_ROWS = 1000

# What may hold a semicolon or two hyphens that mean nothing: a quoted text (a raw one knows no
# escapes), a quoted name, a comment to the end of its line. Comments in brackets nest.
_PIECE = re.compile(
    r"""
      (?P<raw>\b[rR](?:'[^']*'|"[^"]*"))
    | (?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`]|``)*`)
    | (?P<line>--(?:\\\n|[^\n])*)
    | (?P<open>/\*)
    | (?P<end>;)
    | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_BRACKET = re.compile(r"/\*|\*/")
# What the server puts before its reason: its own exceptions, and the class of the error again.
_CLASSES = re.compile(
    r"^(?:(?:Error running query: )?(?:\[\w+(?:\.\w+)*\] )?[\w.$]+(?:Exception|Error): )+"
)
_PLAN = re.compile(r"[;\s]*\n(?:'|==|\s*at |\+-).*", re.DOTALL)


class QueryError(QimoError):
    """A statement was refused, or the server cannot be reached; the message is one line."""


@dataclass(frozen=True)
class Answer:
    """What a statement answered.

    Attributes:
        names: Names of its columns.
        rows: Its rows, as they come.
    """

    names: Sequence[str]
    rows: Iterable[Sequence[Any]]


def decoded(text: bytes) -> str:
    """Return a text of statements, which is UTF-8 whatever the locale says.

    Raises:
        QueryError: It is not UTF-8.
    """
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise QueryError(f"The statements are not UTF-8: {error}") from error


def statements(text: str) -> list[str]:
    """Return the statements of a text, which semicolons part; one of comments alone is none.

    A comment and a text in quotes may hold whatever they like. Comments stay, hints among them.
    """
    found, start, at, has_words = [], 0, 0, False
    while at < len(text):
        piece = _PIECE.match(text, at)
        assert piece is not None, "the last alternative matches anything"
        at = _end_of_bracket(text, at) if piece.lastgroup == "open" else piece.end()
        if piece.lastgroup == "end":
            if has_words:
                found.append(text[start : piece.start()].strip())
            start, has_words = at, False
        elif piece.lastgroup not in ("line", "open") and not piece[0].isspace():
            has_words = True
    if has_words:
        found.append(text[start:].strip())
    return found


def _end_of_bracket(text: str, at: int) -> int:
    """Return where the comment that begins here ends; the text's end when it does not."""
    depth = 0
    for bracket in _BRACKET.finditer(text, at):
        depth += 1 if bracket[0] == "/*" else -1
        if depth == 0:
            return bracket.end()
    return len(text)


@contextmanager
def session(settings: HiveSettings, database: str) -> Generator[hive.Connection, None, None]:
    """Open a session in a database and close it at the end.

    Raises:
        QueryError: The server cannot be reached.
    """
    # It would print what the error says.
    logging.getLogger("thrift.transport").setLevel(logging.CRITICAL)
    try:
        transport, socket = hive_transport(settings, CONNECT_SECONDS)
        connection = hive.Connection(
            username=settings.username, thrift_transport=transport, database=database
        )
        socket.setTimeout(CALL_SECONDS * 1000)
    except (TException, OSError, hive.Error) as error:
        raise QueryError(
            f"HiveServer2 at {settings.host}:{settings.port} cannot be used: {reason(error)} "
            "(./qimo status tells whether it runs; its settings are QIMO_HIVE__*)"
        ) from error
    try:
        yield connection
    finally:
        with suppress(TException, OSError, hive.Error):
            connection.close()


class _Cursor(hive.Cursor):
    """A cursor whose times are texts: PyHive's datetime has neither all years nor all digits."""

    @property
    def description(self) -> Any:
        return [
            (name, "STRING_TYPE" if kind == "TIMESTAMP_TYPE" else kind, *rest)
            for name, kind, *rest in super().description or ()
        ]


def run(connection: hive.Connection, statement: str) -> Answer | None:
    """Run one statement; return its answer, or nothing for one that has none.

    An interruption ends it on the server as well.

    Raises:
        QueryError: The server refused it or was lost.
    """
    cursor = _Cursor(connection)
    try:
        cursor.execute(statement, async_=True)
        try:
            _await_end(cursor)
        except KeyboardInterrupt:
            cursor.cancel()
            raise
        # PyHive breaks on what a statement without rows has for an answer.
        try:
            first = cursor.fetchone()
        except TypeError:
            return None
        names = [column[0] for column in cursor.description or ()]
        rows = chain([] if first is None else [first], iter(cursor.fetchone, None))
        return Answer(names, rows) if names else None
    except (TException, OSError, hive.Error) as error:
        raise QueryError(reason(error)) from error


def _await_end(cursor: hive.Cursor) -> None:
    pause = POLL_SECONDS
    while (state := cursor.poll(get_progress_update=False)).operationState in (
        TOperationState.INITIALIZED_STATE,
        TOperationState.PENDING_STATE,
        TOperationState.RUNNING_STATE,
    ):
        time.sleep(pause)
        pause = min(pause * 2, MAX_POLL_SECONDS)
    if state.operationState != TOperationState.FINISHED_STATE:
        raise hive.OperationalError(state.errorMessage or "the server ended the statement")


def reason(error: BaseException) -> str:
    """Return why the server refused, in one line: without the classes of its exceptions, the plan
    of the query and the stack.
    """
    status = getattr(error.args[0], "status", None) if error.args else None
    said = (getattr(status, "errorMessage", None) or str(error) or type(error).__name__).strip()
    return " ".join(_PLAN.sub("", _CLASSES.sub("", said)).split())


def render(answer: Answer, form: Format) -> Iterator[str]:
    """Yield the lines of an answer.

    Raises:
        QueryError: Two columns have one name, which JSON's objects cannot hold.
    """
    return {"table": _table, "csv": _csv, "json": _json}[form](answer)


def _csv(answer: Answer) -> Iterator[str]:
    """Yield RFC 4180's lines; NULL is empty and an empty text is quoted."""
    yield ",".join(map(_csv_field, answer.names))
    for row in answer.rows:
        yield ",".join(map(_csv_field, row))


def _csv_field(value: object) -> str:
    if value is None:
        return ""
    text = _text(value)
    if text and not set(text) & set(',"\r\n') and text == text.strip():
        return text
    return '"{}"'.format(text.replace('"', '""'))


def _json(answer: Answer) -> Iterator[str]:
    """Yield an array of objects, one a line; what JSON has no type for is a text."""
    twice = sorted({name for name in answer.names if list(answer.names).count(name) > 1})
    if twice:
        raise QueryError(
            f"Two columns are named {twice[0]}: name them apart (AS), or take --format csv."
        )
    before = "["
    for row in answer.rows:
        line = json.dumps(
            dict(zip(answer.names, map(_json_value, row), strict=True)), ensure_ascii=False
        )
        yield before + line
        before = ","
    yield "]" if before == "," else "[]"


def _json_value(value: Any) -> Any:
    # JSON has neither infinities nor NaN.
    is_finite = not isinstance(value, float) or abs(value) < float("inf")
    return (
        value
        if isinstance(value, (bool, int, float, str)) and is_finite
        else (None if value is None else _text(value))
    )


def _table(answer: Answer) -> Iterator[str]:
    rows = iter(answer.rows)
    first = [
        [_cell(value) for value in row] for row, _ in zip(rows, range(MEASURED_ROWS), strict=False)
    ]
    names = [_cell(name) for name in answer.names]
    widths = [max(map(_width, column)) for column in zip(names, *first, strict=True)]
    rule = "+".join(["", *("-" * (width + 2) for width in widths), ""])
    yield from (rule, _line(names, widths), rule)
    count = 0
    for row in chain(first, ([_cell(value) for value in row] for row in rows)):
        yield _line(row, widths)
        count += 1
    if count:
        yield rule
    yield f"{count:,} row{'' if count == 1 else 's'}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _cell(value: object) -> str:
    text = "NULL" if value is None else _text(value)
    # A line's end or an escape sequence in a message must not reach the terminal as such.
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def answer_all(
    settings: HiveSettings, database: str, text: str, form: Format, say: Callable[[str], None]
) -> None:
    """Run the statements of a text in one session, and say what they answer.

    Args:
        settings: HiveServer2.
        database: Hive database of the session.
        text: The statements.
        form: How answers are written; between two of CSV stands an empty line.
        say: Gets each line.

    Raises:
        QueryError: There is no statement, or one failed; those after it were not run.
    """
    found = statements(text)
    if not found:
        raise QueryError("There is no statement in it.")
    with session(settings, database) as connection:
        is_first = True
        for statement in found:
            answer = run(connection, statement)
            if answer is None:
                continue
            if form == "csv" and not is_first:
                say("")
            is_first = False
            try:
                for line in render(answer, form):
                    say(line)
            except (TException, OSError, hive.Error) as error:
                raise QueryError(reason(error)) from error
