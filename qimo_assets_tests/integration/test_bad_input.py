"""Text that other programs take for commands goes from the file to MySQL, to Dagster's pages and
into quarantine as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from qimo_assets_tests.conftest import Stack, wait_for

DAY = "2024-02-29"
TEXTS = [
    "'); DROP TABLE os; --",
    "' OR '1'='1",
    "${spark.env.HOME} {{ database }} %s {0} \\N",
    "<script>alert('x')</script>&amp;<!--",
    '<img src=x onerror="alert(1)">',
    '=HYPERLINK("http://x","y")',
    "+1-1@SUM(A1)",
    '"a","b"',
    "a|b `c` **d** [e](javascript:f)",
]
MATERIALIZATIONS = (
    "query($key: AssetKeyInput!, $days: [String!]) { assetNodeOrError(assetKey: $key) { "
    "... on AssetNode { assetMaterializations(limit: 1, partitions: $days) "
    "{ metadataEntries { label ... on TableMetadataEntry { table { records } } "
    "... on MarkdownMetadataEntry { mdStr } } } } } }"
)


def line(text: str) -> bytes:
    return "\x01".join(
        [f"{DAY} 10:00:00", text, text, "男", "1.2.3.4", text, *[""] * 5, text, *[""] * 7, text]
    ).encode()


def test_text_that_looks_like_a_command_stays_text(
    stack: Stack, ask_mysql: Callable[[str], list[Any]], ask_hive: Callable[[str], list[Any]]
) -> None:
    good = b"".join(line(text) + b"\n" for text in TEXTS)
    bad = b"".join(text.encode() + b"\n" for text in TEXTS)
    (stack.home / "chat" / "hostile.log").write_bytes(good + bad)
    assert stack.verified()["ok"]
    assert {text for (text,) in ask_mysql(f"SELECT os FROM os WHERE day = '{DAY}'")} == set(TEXTS)
    assert {
        (account, name)
        for account, name in ask_mysql(
            f"SELECT account, nickname FROM sender_top WHERE day = '{DAY}'"
        )
    } == {(text, text) for text in TEXTS}
    wait_for(lambda: ask_hive("SHOW VIEWS LIKE 'v_quarantine'"))
    assert {
        text
        for (text,) in ask_hive(
            "SELECT raw_text FROM v_quarantine WHERE source_file LIKE '%hostile.log'"
        )
    } >= set(TEXTS)
    [event] = stack.graphql(MATERIALIZATIONS, key={"path": ["mysql", "os"]}, days=[DAY])[
        "assetNodeOrError"
    ]["assetMaterializations"]
    entries = {entry["label"]: entry for entry in event["metadataEntries"]}
    # Dagster draws a table's values as text.
    rows = map(json.loads, entries["rows"]["table"]["records"])
    assert {row["os"] for row in rows} == set(TEXTS)
    # A backslash makes a character of what would mean something in Markdown.
    chart = entries["chart"]["mdStr"]
    read = re.sub(r"\\(.)", r"\1", chart)
    assert [text for text in TEXTS if text not in read] == []
    assert re.findall(r"(?<!\\)[<\[`*]", chart) == []
