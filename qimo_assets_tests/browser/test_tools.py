"""What people do with the page: filter, compare, take out, hang on a wall."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from qimo_assets.lake.regions import look_up
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.report.files import Site
from qimo_assets_tests.browser.conftest import DAYS, HOSTILE, LAST, Report, View
from qimo_assets_tests.browser.synthetic import rows_of

DAY = f"lang=en&from={LAST}&to={LAST}"


def number(text: str) -> int:
    return int(text.replace(",", ""))


def take(view: View, card: str, tool: str) -> Path:
    """Download what a card hands out."""
    view.page.locator(f"#{card} .tools > summary").click()
    with view.page.expect_download() as download:
        view.page.locator(f"#{card} .menu").get_by_text(tool).click()
    return Path(download.value.path())


def test_a_card_is_taken_as_csv_with_numbers_as_they_are(report: Report, view: View) -> None:
    view.open(DAY)
    content = take(view, "network", "Download CSV").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    expected = report.query(
        f"SELECT messages, senders FROM network WHERE day = '{LAST}' ORDER BY messages DESC"
    )
    assert rows[0][1:3] == ["Messages", "Senders"]
    assert [(int(row[1]), int(row[2])) for row in rows[1:]] == expected


def test_a_name_that_is_a_formula_is_text_in_the_csv(report: Report, view: View) -> None:
    view.open(f"lang=en&from={DAYS[-2]}&to={DAYS[-2]}")
    made = view.page.evaluate(
        """import('/js/export.js').then(({ csv }) => csv([{ title: 'a' }], [['=1+1'], ['@x'], [-5], ['a,"b']]))"""
    )
    lines = made.lstrip("\ufeff").splitlines()
    assert lines == ["a", "'=1+1", "'@x", "-5", '"a,""b"']
    rows = list(
        csv.reader(io.StringIO(take(view, "sender_top", "Download CSV").read_text("utf-8-sig")))
    )
    assert [row[1] for row in rows[1:4]] == list(HOSTILE)
    assert len(rows) == 101


@pytest.mark.parametrize("card", ["hourly", "sender_province", "sexes", "sender_top", "totals"])
def test_a_card_is_taken_as_a_picture(view: View, card: str) -> None:
    view.open(DAY)
    content = take(view, card, "Download PNG").read_bytes()
    assert content.startswith(b"\x89PNG")
    width = int.from_bytes(content[16:20], "big")
    assert width >= 1280


def test_a_link_shows_the_same_days_and_card(view: View) -> None:
    view.open("lang=en&range=7")
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.page.locator("#network .tools > summary").click()
    view.page.locator("#network .menu").get_by_text("Copy link").click()
    view.wait_until("document.querySelector('#network .menu').textContent.includes('Copied')")
    link = view.page.evaluate("navigator.clipboard.readText()")
    assert f"from={DAYS[-7]}&to={LAST}" in link
    view.open(link.partition("#")[2])
    view.wait_until("document.querySelector('#network').getBoundingClientRect().top < innerHeight")
    assert view.page.locator("#to").input_value() == LAST


def test_a_card_fills_the_screen(view: View) -> None:
    view.open(DAY)
    view.page.locator("#daily .tools > summary").click()
    view.page.locator("#daily .menu").get_by_text("Full screen").click()
    view.wait_until("document.fullscreenElement?.id === 'daily'")
    view.wait_until("document.querySelector('#daily canvas').clientHeight > 400")


def test_definitions_are_the_catalogs(view: View) -> None:
    view.open(DAY)
    assert "distinct pairs of sender and receiver" in (
        view.page.locator("#totals [data-measure=pairs] dt").get_attribute("title") or ""
    )
    view.page.locator("#active_user .tools > summary").click()
    menu = view.page.locator("#active_user .menu").inner_text()
    assert "accounts that sent in the 7 days up to the day" in menu
    view.page.keyboard.press("Escape")
    assert not view.page.locator("#active_user .menu").is_visible()


@pytest.mark.parametrize(
    ("name", "key", "condition", "people"),
    [
        ("network", "WIFI", "network = 'WIFI'", "senders"),
        ("phone_type", "iPhone 15", "phone_type = 'iPhone 15'", "senders"),
        ("message_type", "IMAGE", "msg_type = 'IMAGE'", "senders"),
        ("sender_province", "广东", "province = '广东省'", "senders"),
        ("receiver_province", "广东", "province = '广东省'", "receivers"),
    ],
)
def test_a_value_filters_what_the_tables_can_answer(
    report: Report, view: View, name: str, key: str, condition: str, people: str
) -> None:
    # The last day but one has hostile names.
    day, other = DAYS[-3], DAYS[-4]
    view.open(f"lang=en&from={day}&to={day}&filter={name}:{key}")
    measure = "users" if name.endswith("province") else "senders"
    rows = report.query(
        f"SELECT messages, {measure} FROM {name} WHERE day IN ('{other}', '{day}') AND {condition} ORDER BY day"
    )
    assert number(view.figure("messages")) == rows[1][0]
    assert number(view.figure(people)) == rows[1][1]
    assert f"{abs(rows[1][0] / rows[0][0] - 1) * 100:.1f}%" in view.changes("messages")
    assert view.figure("pairs") == "–"
    assert "do not hold it by this" in view.changes("pairs")
    assert number(view.table("daily")[-1][1]) == rows[1][0]
    assert "the other cards show everything" in view.page.locator("#filter").inner_text()
    view.page.locator("#filter button").click()
    view.wait_until("!location.hash.includes('filter')")
    assert view.figure("pairs") != "–"


def test_a_filter_is_set_by_a_click(view: View) -> None:
    view.open(DAY)
    view.page.locator("#network .figures summary").click()
    view.page.locator("#network .figures .pick").first.click()
    view.wait_until("location.hash.includes('filter=network')")
    view.page.locator("#sender_province .pick", has_text="Guangdong").click()
    view.wait_until("location.hash.includes('filter=sender_province')")
    view.page.locator("#sender_province .pick", has_text="Guangdong").click()
    view.wait_until("!location.hash.includes('filter')")


def test_a_chosen_period_is_compared_with(report: Report, view: View) -> None:
    view.open(DAY)
    view.page.locator("#versus").select_option("week")
    view.wait_until("location.hash.includes('versus=week')")
    view.page.locator("#versus").select_option("chosen")
    view.page.locator("#since").fill(DAYS[5])
    view.wait_until(f"location.hash.includes('since={DAYS[5]}')")
    rows = report.query(
        f"SELECT messages, senders FROM message_total WHERE day IN ('{DAYS[5]}', '{LAST}') ORDER BY day"
    )
    for place, measure in enumerate(("messages", "senders")):
        change = abs(rows[1][place] / rows[0][place] - 1) * 100
        assert f"{change:.1f}%" in view.changes(measure)
    hours = report.query(
        f"SELECT messages FROM message_hourly WHERE day = '{DAYS[5]}' ORDER BY hour"
    )
    assert [number(row[2]) for row in view.table("hourly")] == [count for (count,) in hours]


def test_what_is_not_listed_is_put_together_and_said(report: Report, view: View) -> None:
    view.open(DAY)
    names = [row[0] for row in view.table("phone_type")]
    assert len(names) == 14
    bars = view.page.evaluate(
        "(() => { const { series, yAxis } = echarts.getInstanceByDom(document.querySelector('#phone_type .chart')).getOption();"
        " return [yAxis[0].data, series[0].data.map(item => item.value)]; })()"
    )
    assert bars[0][-1] == "Other (5)"
    assert sum(bars[1]) == number(view.figure("messages"))


def test_both_lists_of_a_map_have_one_scale(view: View) -> None:
    view.open(DAY)
    bars = view.page.evaluate(
        "[...document.querySelectorAll('#sender_province .side li')].filter(one => one.querySelector('.fill')).map(one =>"
        " [parseFloat(one.querySelector('.value').textContent), parseFloat(one.querySelector('.fill').style.width)])"
    )
    most = max(share for share, _ in bars)
    assert len(bars) == 10
    assert all(abs(width - share / most * 100) < 100 * 0.06 / most for share, width in bars)


def test_the_map_says_that_it_has_no_approval_number(view: View) -> None:
    view.open(DAY.replace("lang=en", "lang=zh"))
    assert "审图号" in view.page.locator("#sender_province .approval").inner_text()


def test_types_have_english_names(view: View) -> None:
    view.open(DAY)
    assert {"Text", "Image", "Voice"} <= {row[0] for row in view.table("message_type")}


def test_a_legend_is_whole_and_hides_a_series(view: View) -> None:
    for width in (390, 1440):
        view.page.set_viewport_size({"width": width, "height": 844})
        view.open(DAY)
        cut = view.page.evaluate(
            "[...document.querySelectorAll('.legend button')].filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)"
            ".map(one => one.textContent)"
        )
        assert cut == []
    first = view.page.locator("#active_user .legend button").first
    first.click()
    assert (
        view.page.locator("#active_user .legend button").first.get_attribute("aria-pressed")
        == "false"
    )
    selected = view.page.evaluate(
        "echarts.getInstanceByDom(document.querySelector('#active_user .chart')).getOption().legend[0].selected"
    )
    assert selected["Daily"] is False


def test_the_wall_is_one_dark_screen_that_follows_the_newest_day(view: View) -> None:
    view.page.set_viewport_size({"width": 1920, "height": 1080})
    view.open("lang=zh&wall=1")
    assert view.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not view.page.locator("#controls").is_visible()
    assert view.page.evaluate("document.documentElement.scrollHeight") <= 1080
    assert view.page.locator(".card:visible").count() == 7
    view.page.locator("#wall").click()
    view.wait_until("!location.hash.includes('wall')")
    assert view.page.locator("#controls").is_visible()


# Addresses of phones of all three carriers.
IPV6 = {"2409:8a55::1": "广东", "2408:8207::1": "北京", "240e:381::1": "湖南"}


def test_people_with_ipv6_addresses_are_on_the_map(
    report: Report, view: View, tmp_path: Path
) -> None:
    metric = next(metric for metric in METRICS if metric.name == "sender_province")
    places = look_up(list(IPV6), report.settings.lake.ip2region_jar).rows()
    rows = [
        (LAST, country, province, 100 + place, 10)
        for place, (country, province, _) in enumerate(places)
    ]
    site = Site(tmp_path)
    try:
        report.publish(metric, [LAST], rows)
        report.refresh(site=site)
    finally:
        report.publish(metric, [LAST], rows_of(metric, LAST))
        report.refresh()
    view.serve(site)
    view.open(DAY)
    drawn = view.page.evaluate(
        "echarts.getInstanceByDom(document.querySelector('#sender_province .chart')).getOption().series[0].data"
    )
    assert {item["name"]: item["value"] for item in drawn if item.get("value") is not None} == {
        name: 100 + place for place, name in enumerate(IPV6.values())
    }
