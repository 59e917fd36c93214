"""The report's parts that need nothing else: masking, files, the charts' options, and what is
shipped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import combinations
from math import dist
from pathlib import Path
from typing import Any

import pytest

from qimo_assets.contract import Reason
from qimo_assets.report.accounts import Accounts
from qimo_assets.report.charts import THEMES, Theme, charts
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


def test_a_map_of_ones_own_comes_with_its_approval_number(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    site = Site(tmp_path)
    site.install_map(None, "ignored")
    sketch = read_json(site.root / "data" / "map.json")
    assert sketch
    assert sketch["note"] is None
    assert len(sketch["features"]) >= 34
    site.install_map(own, "审图号：GS(2000)1号")
    shown = read_json(site.root / "data" / "map.json")
    assert shown
    assert (shown["note"], shown["features"]) == ("审图号：GS(2000)1号", [])


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def test_the_charts_hold_no_code_and_draw_tooltips_as_text() -> None:
    found = charts()
    assert json.loads(json.dumps(found)) == found
    assert {
        chart["tooltip"]["renderMode"] for theme in found.values() for chart in theme.values()
    } == {"richText"}
    assert set(found) == set(THEMES)
    assert set(found["light"]) == set(found["dark"])
    assert [
        leaf
        for leaf in leaves(found)
        if isinstance(leaf, str) and ("function" in leaf or "=>" in leaf or "<" in leaf)
    ] == []


# --- colours


def linear(color: str) -> list[float]:
    """Return the light of a colour's red, green and blue."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG counts it."""
    light = sorted(times([(0.2126, 0.7152, 0.0722)], linear(color))[0] for color in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


# What a person sees who lacks one kind of cone (Machado, Oliveira, Fernandes 2009), and who lacks
# none.
SIGHT = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
# Into OKLab, in which a distance is what an eye makes of it: 0.02 is just seen.
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def seen(color: str, sight: str) -> list[float]:
    light = [min(1.0, max(0.0, part)) for part in times(SIGHT[sight], linear(color))]
    return times(OKLAB, [max(0.0, cone) ** (1 / 3) for cone in times(CONES, light)])


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_colour_of_a_series_stands_out_from_its_ground(theme: Theme) -> None:
    assert {
        color: contrast(color, theme.ground)
        for color in (*theme.series, theme.other)
        if contrast(color, theme.ground) < 3
    } == {}
    assert contrast(theme.quiet, theme.ground) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_any_two_colours_of_a_chart_are_told_apart(theme: Theme, sight: str) -> None:
    alike = [
        (one, other)
        for one, other in combinations(theme.series, 2)
        if dist(seen(one, sight), seen(other, sight)) < 0.09
    ]
    assert alike == []


def test_there_is_a_colour_for_each_reason_of_quarantine() -> None:
    assert all(len(theme.series) >= len(Reason) for theme in THEMES.values())


def test_the_lines_of_a_chart_differ_by_their_shape_too() -> None:
    for theme in charts().values():
        shapes = [series["symbol"] for series in theme["active"]["series"]]
        assert len(set(shapes)) == len(shapes) == 4


def test_the_ground_of_the_charts_is_that_of_the_cards() -> None:
    grounds = re.findall(r"--card: (#\w{6});", (STATIC / "report.css").read_text())
    assert grounds == [theme.ground for theme in THEMES.values()]


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
