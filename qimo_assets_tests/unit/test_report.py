"""The report's parts that need nothing else: masking, files, the charts' options, and what is
shipped.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from qimo_assets.report.accounts import Accounts
from qimo_assets.report.charts import charts
from qimo_assets.report.files import STATIC, Site, read_json, write, write_json

OUTSIDE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[\w.-]+\.\w+")


@pytest.mark.parametrize("account", ["13812341234", "138****1234"])
def test_accounts_are_masked_unless_they_are_asked_for(account: str) -> None:
    assert Accounts(True, b"key").shown(account) == "138****1234"
    assert Accounts(False, b"key").shown(account) == account


def test_an_identity_is_the_same_for_the_same_account_and_key_only() -> None:
    one, other = Accounts(True, b"one"), Accounts(True, b"other")
    assert one.identity("13812341234") == one.identity("13812341234")
    assert one.identity("13812341234") != one.identity("13899991234")
    assert one.identity("13812341234") != other.identity("13812341234")
    assert one.version != Accounts(False, b"one").version


def test_a_file_is_replaced_as_a_whole_or_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "index.json"
    assert write_json(path, {"七陌": 1})
    assert not write_json(path, {"七陌": 1})

    def fail(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write(path, b"other")
    assert read_json(path) == {"七陌": 1}
    assert [item.name for item in path.parent.iterdir()] == ["index.json"]


def test_a_file_that_is_missing_or_torn_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "torn.json").write_bytes(b'{"days": {"2021-')
    assert read_json(tmp_path / "torn.json") is None


def test_the_page_is_put_in_place_once_and_the_key_is_not_in_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.install()
    key = site.account_key()
    assert key == site.account_key()
    installed = {
        path.relative_to(site.root): path.stat().st_mtime_ns
        for path in site.root.rglob("*")
        if path.is_file()
    }
    assert set(installed) == {
        path.relative_to(STATIC) for path in STATIC.rglob("*") if path.is_file()
    }
    site.install()
    assert installed == {
        path.relative_to(site.root): path.stat().st_mtime_ns
        for path in site.root.rglob("*")
        if path.is_file()
    }


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def test_the_charts_hold_no_code_and_draw_tooltips_as_text() -> None:
    found = charts()
    assert json.loads(json.dumps(found)) == found
    assert {name: chart["tooltip"]["renderMode"] for name, chart in found.items()} == dict.fromkeys(
        found, "richText"
    )
    assert [
        leaf
        for leaf in leaves(found)
        if isinstance(leaf, str) and ("function" in leaf or "=>" in leaf or "<" in leaf)
    ] == []


def test_what_is_shipped_is_what_its_origin_says() -> None:
    vendor = STATIC / "vendor"
    recorded = json.loads((vendor / "vendor.json").read_text())
    assert {
        name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in recorded
    } == {name: item["sha256"] for name, item in recorded.items()}
    assert {
        path.name for path in vendor.iterdir() if not path.name.startswith(("LICENSE", "NOTICE"))
    } == {*recorded, "vendor.json"}


def test_the_page_names_no_other_machine_and_writes_no_html() -> None:
    own = [
        path
        for path in STATIC.rglob("*")
        if path.suffix in (".html", ".css", ".js", ".svg") and "vendor" not in path.parts
    ]
    assert len(own) >= 7
    assert {
        str(path): OUTSIDE.findall(path.read_text())
        for path in own
        if OUTSIDE.findall(path.read_text())
    } == {}
    forbidden = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        'style="',
    )
    assert [
        (path.name, word) for path in own for word in forbidden if word in path.read_text()
    ] == []
