"""The page in Chromium: its figures are MySQL's, text of users does nothing, and it can be read in
two languages, on a phone and on paper.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from qimo_assets.metrics.catalog import COUNT, MESSAGES, METRICS, TEXT, Column, Metric
from qimo_assets_tests.browser.conftest import DAYS, HOSTILE, LAST, Report, View
from qimo_assets_tests.browser.synthetic import rows_of

DAY = f"lang=en&from={LAST}&to={LAST}"
WEEK = f"lang=en&range=7&from={DAYS[-7]}&to={LAST}"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
BY_NAME = {metric.name: metric for metric in METRICS}
# How the page names values in English.
ENGLISH = {
    "未知": "Unknown",
    "TEXT": "Text",
    "IMAGE": "Image",
    "AUDIO": "Voice",
    "VIDEO": "Video",
    "EMOJI": "Sticker",
    "LOCATION": "Location",
    "FILE": "File",
    "LINK": "Link",
    "WIFI": "Wi-Fi",
}
# A metric -> its dimension, for those that are shown as one row for each of its values.
DIMENSIONS = {
    "phone_type": "phone_type",
    "os": "os",
    "network": "network",
    "message_type": "msg_type",
    "distance_band": "band",
}


def number(text: str) -> int:
    """Return a whole number as the page writes it."""
    return int(text.replace(",", ""))


def shown_number(value: float) -> str:
    """Return a number as the English page writes it."""
    return f"{round(value):,}"


def mean(values: list[Any]) -> float:
    return sum(values) / len(values)


# --- figures


def test_the_totals_of_a_day_and_their_change_are_mysqls(report: Report, view: View) -> None:
    view.open(DAY)
    before, now = report.query(
        "SELECT messages, senders, receivers, pairs FROM message_total WHERE day IN "
        f"('{DAYS[-2]}', '{LAST}') ORDER BY day"
    )
    for place, measure in enumerate(("messages", "senders", "receivers", "pairs")):
        assert number(view.figure(measure)) == now[place]
        change = view.changes(measure)
        assert f"{abs(now[place] / before[place] - 1) * 100:.1f}%" in change
        assert ("up" if now[place] > before[place] else "down") in change
    assert view.figure("perSender") == f"{now[0] / now[1]:.1f}"


def test_a_range_adds_messages_and_gives_the_daily_mean_of_people(
    report: Report, view: View
) -> None:
    view.open(WEEK)
    rows = report.query(
        "SELECT messages, senders, receivers, pairs FROM message_total WHERE day BETWEEN "
        f"'{DAYS[-7]}' AND '{LAST}'"
    )
    assert len(rows) == 7
    assert number(view.figure("messages")) == sum(row[0] for row in rows)
    for place, measure in enumerate(("receivers", "pairs"), 2):
        assert number(view.figure(measure)) == pytest.approx(
            mean([row[place] for row in rows]), abs=0.5
        )
        assert "daily mean" in view.title(measure)


@pytest.mark.parametrize(("days", "column"), [(7, "weekly"), (30, "monthly")])
def test_senders_of_7_and_of_30_days_are_distinct_ones(
    report: Report, view: View, days: int, column: str
) -> None:
    view.open(f"lang=en&range={days}&from={DAYS[-days]}&to={LAST}")
    [(now,)] = report.query(f"SELECT {column} FROM active_user WHERE day = '{LAST}'")
    [(before,)] = report.query(f"SELECT {column} FROM active_user WHERE day = '{DAYS[-8]}'")
    assert number(view.figure("senders")) == now
    assert f"distinct in {days} days" in view.title("senders")
    if days == 7:
        assert f"{abs(now / before - 1) * 100:.1f}%" in view.changes("senders")


def test_senders_of_another_range_are_the_daily_mean(report: Report, view: View) -> None:
    view.open(f"lang=en&range=own&from={DAYS[-3]}&to={LAST}")
    rows = report.query(
        f"SELECT senders FROM message_total WHERE day BETWEEN '{DAYS[-3]}' AND '{LAST}'"
    )
    assert number(view.figure("senders")) == round(mean([row[0] for row in rows]))
    assert "daily mean" in view.title("senders")


@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("name", DIMENSIONS)
def test_each_value_of_a_dimension_is_mysqls(
    report: Report, view: View, name: str, days: int
) -> None:
    view.open(DAY if days == 1 else WEEK)
    dimension = DIMENSIONS[name]
    expected = dict(
        report.query(
            f"SELECT `{dimension}`, sum(messages) FROM `{name}` WHERE day BETWEEN "
            f"'{DAYS[-days]}' AND '{LAST}' GROUP BY 1"
        )
    )
    found = {row[0]: number(row[1]) for row in view.table(name)}
    assert found == {ENGLISH.get(value, value): messages for value, messages in expected.items()}
    assert sum(found.values()) == number(view.figure("messages"))


@pytest.mark.parametrize("party", ["sender", "receiver"])
def test_regions_are_mysqls(report: Report, view: View, party: str) -> None:
    view.open(f"{DAY}&lang=zh".replace("lang=en&", ""))
    expected = report.query(
        f"SELECT messages, users FROM {party}_province WHERE day = '{LAST}' ORDER BY messages DESC"
    )
    rows = view.table(f"{party}_province")
    assert sorted((number(row[2]), number(row[3])) for row in rows) == sorted(expected)
    guangdong = report.query(
        f"SELECT messages, users FROM {party}_province WHERE day = '{LAST}' AND province = '广东省'"
    )
    assert [
        (number(row[2]), number(row[3])) for row in rows if row[:2] == ["中国", "广东"]
    ] == guangdong


def test_hours_are_mysqls_beside_those_of_the_day_before(report: Report, view: View) -> None:
    view.open(DAY)
    hours = {
        (str(day), hour): messages
        for day, hour, messages in report.query("SELECT day, hour, messages FROM message_hourly")
    }
    assert view.table("hourly") == [
        [f"{hour:02d}:00", shown_number(hours[LAST, hour]), shown_number(hours[DAYS[-2], hour])]
        for hour in range(24)
    ]


def test_the_matrix_of_sexes_is_mysqls(report: Report, view: View) -> None:
    view.open(DAY)
    pairs = {
        (one, other): messages
        for one, other, messages in report.query(
            f"SELECT sender_sex, receiver_sex, messages FROM sex_pair WHERE day = '{LAST}'"
        )
    }
    cells = view.page.evaluate(
        "[...document.querySelectorAll('#sexes tbody tr')].map(row => "
        "[...row.querySelectorAll('strong')].map(cell => cell.textContent))"
    )
    assert [[number(text) for text in row] for row in cells] == [
        [pairs[one, other] for other in ("男", "女", "未知")] for one in ("男", "女", "未知")
    ]


@pytest.mark.parametrize("party", ["sender", "receiver"])
def test_top_accounts_are_mysqls_and_masked(report: Report, view: View, party: str) -> None:
    view.open(DAY)
    view.page.locator(f"#{party}_top .more").click()
    expected = report.query(
        f"SELECT nickname, account, messages FROM {party}_top WHERE day = '{LAST}' ORDER "
        "BY messages DESC"
    )
    rows = view.table(f"{party}_top")
    assert len(rows) == 100
    assert sorted((row[1], row[2], number(row[3])) for row in rows) == sorted(
        (name, f"{account[:3]}****{account[-4:]}", count) for name, account, count in expected
    )


def test_top_accounts_of_a_range_are_added_by_account(report: Report, view: View) -> None:
    view.open(WEEK)
    ((most,),) = report.query(
        f"SELECT sum(messages) FROM sender_top WHERE day BETWEEN '{DAYS[-7]}' AND '{LAST}' "
        "GROUP BY account ORDER BY sum(messages) DESC LIMIT 1"
    )
    assert number(view.table("sender_top")[0][3]) == most


def test_active_users_and_retention_are_mysqls(report: Report, view: View) -> None:
    view.open(DAY)
    rows = report.query(
        "SELECT day, daily, weekly, monthly, new, returning_next_day FROM active_user "
        f"WHERE day >= '{DAYS[-30]}' ORDER BY day"
    )
    assert view.table("active_user") == [
        [str(row[0]), *(shown_number(value) for value in row[1:5])] for row in rows
    ]
    # The last day is not over when its figures are made: who comes back is not known.
    assert [row[1] for row in view.table("retention")] == [
        *(f"{row[5] / row[1] * 100:.1f}%" for row in rows[:-1]),
        "–",
    ]


def test_pipeline_health_is_mysqls(report: Report, view: View) -> None:
    view.open(DAY)
    columns = [column.name for column in BY_NAME["data_quality"].columns]
    named = ", ".join(f"`{name}`" for name in columns)
    (values,) = report.query(f"SELECT {named} FROM data_quality WHERE day = '{LAST}'")
    row = dict(zip(columns, values, strict=True))
    quarantined = sum(value for name, value in row.items() if name.startswith("quarantined_"))
    figures = view.page.locator("#quality .figure").all_inner_texts()
    assert [number(text) for text in figures[:5]] == [
        row["lines"],
        row["rows"],
        quarantined,
        row["sent_again"],
        row["late"],
    ]
    assert figures[5:] == [f"{row['age_p50']:.1f} s", f"{row['age_p99']:.1f} s"]


# --- choosing


def test_days_and_ranges_are_chosen_in_the_page(report: Report, view: View) -> None:
    view.open("lang=en")
    totals = {
        str(day): messages
        for day, messages in report.query("SELECT day, messages FROM message_total")
    }
    assert number(view.figure("messages")) == totals[LAST]
    view.page.locator("#earlier").click()
    view.wait_until(f"document.querySelector('#to').value === '{DAYS[-2]}'")
    assert number(view.figure("messages")) == totals[DAYS[-2]]
    view.page.get_by_label("30 days", exact=True).check()
    view.wait_until("location.hash.includes('range=30')")
    view.wait_until("document.querySelector('#period').textContent.includes('30 days')")
    assert number(view.figure("messages")) == sum(totals[day] for day in DAYS[-31:-1])
    view.page.get_by_label("Custom", exact=True).check()
    view.page.locator("#from").fill(DAYS[3])
    view.page.locator("#to").fill(DAYS[5])
    view.wait_until("document.querySelector('#period').textContent.includes('3 days')")
    assert number(view.figure("messages")) == sum(totals[day] for day in DAYS[3:6])
    address = view.page.url.partition("#")[2]
    view.open(address)
    assert number(view.figure("messages")) == sum(totals[day] for day in DAYS[3:6])


def test_months_are_loaded_when_they_are_needed(view: View) -> None:
    view.open(f"lang=en&from={LAST}&to={LAST}")
    assert not any("2021-09.json" in url for url in view.requests)
    view.open(f"lang=en&range=7&from={DAYS[3]}&to={DAYS[9]}")
    assert any("2021-09.json" in url for url in view.requests)


def test_a_day_without_figures_says_so(view: View) -> None:
    view.open("lang=en&from=2021-01-01&to=2021-01-01")
    assert "no figures" in view.page.locator("#message").inner_text()
    assert view.figure("messages") == "–"


def test_a_new_publication_appears_without_a_reload(report: Report, view: View) -> None:
    view.open(DAY)
    metric = BY_NAME["message_total"]
    before = view.figure("messages")
    try:
        report.publish(metric, [LAST], [(LAST, 1_234_567, 10, 20, 30)])
        assert report.refresh().written == [LAST]
        view.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        view.wait_until("document.querySelector('#totals .figure').textContent === '1,234,567'")
    finally:
        report.publish(metric, [LAST], rows_of(metric, LAST))
        report.refresh()
    view.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    view.wait_until(f"document.querySelector('#totals .figure').textContent === '{before}'")


def test_a_metric_that_is_new_to_the_page_is_shown_by_what_the_catalog_says(
    report: Report, view: View
) -> None:
    added = Metric(
        "by_weather",
        (Column("weather", TEXT, "天气"),),
        (MESSAGES, Column("umbrellas", COUNT, "雨伞数")),
        "各天气的消息量",
        "Messages by weather",
        "条",
        "sum",
    )
    report.publish(added, [LAST], [(LAST, "rain", 70, 7), (LAST, HOSTILE[0], 30, 0)])
    try:
        report.refresh([*METRICS, added])
        view.open(DAY)
        assert view.page.locator("#by_weather h3").inner_text() == "Messages by weather"
        assert view.table("by_weather") == [["rain", "70", "7"], [HOSTILE[0], "30", "0"]]
    finally:
        report.refresh()


# --- hostile text


def test_text_of_users_is_shown_as_it_is_and_does_nothing(view: View) -> None:
    view.open(f"lang=en&from={DAYS[-2]}&to={DAYS[-2]}")
    assert [row[1] for row in view.table("sender_top")[:3]] == list(HOSTILE)
    assert set(HOSTILE) <= {row[0] for row in view.table("phone_type")}
    assert set(HOSTILE) <= {row[0] for row in view.table("message_type")}
    assert view.page.locator("#content img, #content script, #content b").count() == 0
    # The tooltip of the bar whose name it is.
    box = view.page.locator("#phone_type canvas").bounding_box()
    assert box
    view.page.locator("#phone_type").scroll_into_view_if_needed()
    for share in (0.1, 0.5, 0.9):
        view.page.locator("#phone_type canvas").hover(
            position={"x": box["width"] * 0.45, "y": box["height"] * share}
        )
        view.page.wait_for_timeout(200)
    assert view.page.locator("#phone_type .chart img, #phone_type .chart b").count() == 0


# --- languages, sizes, print, accessibility


def test_the_language_is_switched_and_kept(view: View) -> None:
    view.open("lang=zh")
    assert view.page.title() == "七陌消息报表"
    chinese = view.figure("messages")
    view.page.locator("#language").click()
    view.wait_until("document.documentElement.lang === 'en-GB'")
    assert view.page.title() == "Qimo message report"
    assert number(view.figure("messages")) == number(chinese)
    words = view.page.locator(
        "h1, h2, h3, h4, dt, legend, summary, th, .remark, .notes, #controls, .change"
    ).all_inner_texts()
    assert [text for text in words if CHINESE.search(text)] == []
    view.open("")
    assert view.page.title() == "Qimo message report"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [390, 768, 1180, 1440])
def test_nothing_is_wider_than_the_screen(view: View, width: int, language: str) -> None:
    view.page.set_viewport_size({"width": width, "height": 844})
    view.open(f"lang={language}&range=7&from={DAYS[-8]}&to={DAYS[-2]}")
    wide = """width => [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > width + 0.5 && one.checkVisibility()
        && !one.closest('.scroll, .hidden')).map(one => one.outerHTML.slice(0, 80))"""
    assert view.page.evaluate(wide, width) == []
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("width", [390, 768, 1180, 1440])
@pytest.mark.parametrize("dates", [1, 2])
def test_every_date_can_be_read_whole(view: View, width: int, language: str, dates: int) -> None:
    view.page.set_viewport_size({"width": width, "height": 844})
    of_days = f"range=own&from={DAYS[-8]}&to={DAYS[-2]}" if dates == 2 else DAY
    view.open(f"lang={language}&{of_days}")
    widths = view.page.evaluate(
        "[...document.querySelectorAll('.days input')].filter(one => one.checkVisibility())"
        ".map(one => one.clientWidth)"
    )
    assert len(widths) == dates
    # Ten characters of 14 px and the padding; the browser's button for the calendar beside them.
    assert min(widths) >= 120


def test_the_printed_page_fits_its_paper(view: View) -> None:
    view.open(WEEK)
    view.page.evaluate("""() => {
        window.widths = [];
        addEventListener('beforeprint', () => { window.widths = [...document.querySelectorAll('.card:not([hidden]) canvas')].map(one => one.clientWidth); });
    }""")
    document = view.page.pdf(prefer_css_page_size=True, print_background=True)
    assert document.startswith(b"%PDF")
    widths = view.page.evaluate("window.widths")
    assert len(widths) >= 12
    assert max(widths) <= 700
    view.wait_until("!document.documentElement.classList.contains('printing')")


def test_charts_and_controls_have_names_and_figures_as_text(view: View) -> None:
    view.open(DAY)
    nameless = """() => [...document.querySelectorAll('button, input, summary, [role=img], [role=region], section, table')].filter(one => {
        const labels = [one.getAttribute('aria-label'), ...[...(one.labels ?? [])].map(label => label.textContent), one.caption?.textContent,
            ['BUTTON', 'SUMMARY'].includes(one.tagName) ? one.textContent : '',
            document.getElementById(one.getAttribute('aria-labelledby') ?? '')?.textContent];
        return one.checkVisibility() && !labels.some(label => label?.trim());
    }).map(one => one.outerHTML.slice(0, 120))"""
    assert view.page.evaluate(nameless) == []
    without_table = """() => [...document.querySelectorAll('.card:not([hidden])')]
        .filter(one => one.querySelector('[role=img]') && !one.querySelector('details tbody tr')).map(one => one.id)"""
    assert view.page.evaluate(without_table) == []
    assert (
        view.page.evaluate(
            "[...document.querySelectorAll('[id]')].map(one => one.id).filter((id, place, "
            "all) => all.indexOf(id) !== place)"
        )
        == []
    )
    assert (
        view.page.evaluate("[...document.images].filter(one => !one.hasAttribute('alt')).length")
        == 0
    )
    levels = view.page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].filter(one => "
        "one.checkVisibility()).map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels


def test_everything_is_reached_and_done_by_keyboard(view: View) -> None:
    view.open(DAY)
    view.page.keyboard.press("Tab")
    assert view.page.evaluate("document.activeElement.className") == "skip"
    view.page.locator("#daily .figures summary").focus()
    view.page.keyboard.press("Enter")
    assert view.page.locator("#daily .figures table").is_visible()
    view.page.locator("input[name=range][value='1']").focus()
    view.page.keyboard.press("ArrowRight")
    view.wait_until("location.hash.includes('range=7')")


@pytest.mark.parametrize("address", [DAY, f"{WEEK}&theme=dark", "lang=zh&wall=1"])
def test_axe_finds_nothing_serious(view: View, axe: str, address: str) -> None:
    view.open(address)
    view.page.evaluate(f"{axe}; null")
    found = view.page.evaluate("axe.run().then(result => result.violations)")
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast(view: View, theme: str) -> None:
    view.open(f"{DAY}&theme={theme}")
    view.page.locator("#network .tools > summary").click()
    low = """() => {
        const channel = value => { const part = value / 255; return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; };
        const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
        const parts = text => text.match(/[\\d.]+/g).map(Number);
        const ground = one => {
            const color = parts(getComputedStyle(one).backgroundColor);
            return color[3] === 0 && one.parentElement ? ground(one.parentElement) : color;
        };
        return [...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && !one.disabled && !one.closest('.hidden, .skip')
            && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())).map(one => {
            const [dark, pale] = [light(parts(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => a - b);
            return [(pale + 0.05) / (dark + 0.05), one.outerHTML.slice(0, 100)];
        }).filter(([ratio]) => ratio < 4.5);
    }"""
    assert view.page.evaluate(low) == []
