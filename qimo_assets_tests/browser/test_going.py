"""The page while a day goes on, and what it says when figures are missing or old."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.report.files import Site
from qimo_assets_tests.browser.conftest import DAYS, GOING, HISTORY, LAST, STRAY, Report, View
from qimo_assets_tests.browser.synthetic import rows_of

BY_NAME = {metric.name: metric for metric in METRICS}
# At 14:09 the hours up to 14:00 are over and settled.
UNTIL = 14


def hourly(day: str, share: float = 1.0) -> dict[int, int]:
    return {row[1]: row[2] for row in rows_of(BY_NAME["message_hourly"], day, share)}


def until(hours: dict[int, int], hour: int = UNTIL) -> int:
    return sum(messages for each, messages in hours.items() if each < hour)


def figures(name: str, day: str) -> dict[str, Any]:
    [row] = rows_of(BY_NAME[name], day)
    return dict(zip([column.name for column in BY_NAME[name].columns], row, strict=True))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def option(view: View, card: str) -> Any:
    """Return what ECharts draws in a card."""
    return view.page.evaluate(
        "id => { const { series, yAxis } = echarts.getInstanceByDom(document.querySelector(`#${id} .chart`)).getOption();"
        " return { series, yAxis }; }",
        card,
    )


# --- a day in progress


def test_an_open_day_is_compared_with_the_same_hours(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={GOING}&to={GOING}")
    now, before, week = (
        until(hourly(GOING, 0.55)), until(hourly(LAST)), until(hourly(DAYS[-7])),
    )  # fmt: skip
    changes = view.changes("messages")
    assert "as of 14:09" in changes
    for other in (before, week):
        assert f"{abs(now / other - 1) * 100:.1f}%" in changes
    assert changes.count("both until 14:00") == 2
    assert "as of 14:09" in view.page.locator("#period").inner_text()
    # Nothing says how many different people there were until an hour.
    for measure in ("senders", "receivers", "pairs", "perSender"):
        assert "%" not in view.changes(measure)
        assert "when the day is over" in view.changes(measure)


def test_hours_that_an_open_day_has_not_reached_are_not_drawn(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={GOING}&to={GOING}")
    curve = option(view, "hourly")["series"][0]["data"]
    hours = hourly(GOING, 0.55)
    assert curve == [hours[hour] for hour in range(UNTIL)] + [None] * (24 - UNTIL)
    assert f"{hours[UNTIL]:,}" in view.page.locator("#hourly .remark").inner_text()
    assert view.table("hourly")[UNTIL][:2] == ["14:00 (so far)", f"{hours[UNTIL]:,}"]


def test_an_open_day_is_dashed_and_its_retention_unknown(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={GOING}&to={GOING}")
    assert option(view, "daily")["series"][0]["data"][-1]["itemStyle"]["borderType"] == "dashed"
    lines = option(view, "active_user")["series"]
    assert [line["data"][-1] for line in lines if line["lineStyle"]["type"] == "solid"] == [
        None
    ] * 4
    assert all(
        line["data"][-1] is not None for line in lines if line["lineStyle"]["type"] == "dashed"
    )
    shown = dict(view.table("retention"))
    assert shown[f"{GOING} (so far)"] == shown[LAST] == "–"
    assert shown[DAYS[-2]].endswith("%")
    view.open(f"lang=en&from={LAST}&to={LAST}")
    assert dict(view.table("retention"))[LAST] == "–"


def test_a_range_with_an_open_day_leaves_it_out_of_means(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&range=own&from={DAYS[-2]}&to={GOING}")
    whole = [figures("message_total", day) for day in (DAYS[-2], LAST)]
    assert number(view.figure("receivers")) == round(sum(day["receivers"] for day in whole) / 2)
    assert "without the day in progress" in view.changes("receivers")
    hours = [hourly(day) for day in (DAYS[-2], LAST)]
    assert option(view, "hourly")["series"][0]["data"] == [
        sum(day[hour] for day in hours) / 2 for hour in range(24)
    ]
    # The messages are those of all days, and compared up to the hour that the last one has reached.
    so_far = sum(hourly(GOING, 0.55).values())
    assert number(view.figure("messages")) == sum(day["messages"] for day in whole) + so_far
    now = sum(day["messages"] for day in whole) + until(hourly(GOING, 0.55))
    before = sum(figures("message_total", day)["messages"] for day in DAYS[-5:-3])
    before += until(hourly(DAYS[-3]))
    assert f"{abs(now / before - 1) * 100:.1f}%" in view.changes("messages")


def test_senders_of_a_range_with_an_open_day_are_not_compared(going: Site, view: View) -> None:
    view.serve(going)
    view.open("lang=en&range=7")
    assert "distinct in 7 days" in view.title("senders")
    assert "as of 14:09" in view.changes("senders")
    assert "%" not in view.changes("senders")


def test_in_the_first_minutes_nothing_is_compared(
    report: Report, going: Site, view: View, tmp_path: Path
) -> None:
    early = Site(tmp_path)
    for name in (
        "charts.json",
        "state.json",
        f"{GOING[:7]}.json",
        f"{LAST[:7]}.json",
        "2021-10.json",
    ):
        target = early.root / "data" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((going.root / "data" / name).read_bytes())
    index = json.loads(going.index.read_bytes())
    index["published_at"] = index["published"][GOING] = f"{GOING} 00:40:00"
    early.index.write_text(json.dumps(index))
    view.serve(early)
    view.open(f"lang=en&from={GOING}&to={GOING}")
    assert "before the first hour is over" in view.changes("messages")


# --- ages


def test_a_day_without_a_measured_age_has_a_gap(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={DAYS[6]}&to={DAYS[6]}")
    data = option(view, "age")["series"][0]["data"]
    assert data[:5] == [None] * 5
    assert data[5:7] == [figures("data_quality", day)["age_p50"] for day in DAYS[5:7]]
    view.open(f"lang=en&from={HISTORY[0]}&to={HISTORY[0]}")
    assert view.page.locator("#quality .figure").all_inner_texts()[4:] == ["–", "–", "–"]
    assert "collected live" in view.page.locator("#age .empty").inner_text()


def test_ages_of_a_range_are_weighted_by_the_messages_they_were_measured_of(
    going: Site, view: View
) -> None:
    view.serve(going)
    view.open(f"lang=en&range=own&from={DAYS[3]}&to={DAYS[6]}")
    measured = [figures("data_quality", day) for day in DAYS[5:7]]
    weights = [day["rows"] - day["late"] for day in measured]
    expected = sum(
        day["age_p50"] * weight for day, weight in zip(measured, weights, strict=True)
    ) / sum(weights)
    texts = view.page.locator("#quality .figure").all_inner_texts()
    assert texts[5] == f"{expected:.1f} s"
    # Days that were loaded later are no late ones.
    assert number(texts[4]) == sum(day["late"] for day in measured)
    loaded = sum(figures("data_quality", day)["rows"] for day in DAYS[3:5])
    assert f"Loaded as history {loaded:,}" in view.page.locator("#quality").inner_text()


def test_the_ticks_of_ages_are_those_of_a_clock(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={LAST}&to={LAST}")
    axis = option(view, "age")["yAxis"][0]
    assert axis["interval"] in (15, 30)
    assert axis["max"] % axis["interval"] == 0


# --- what is missing


def test_a_missing_day_to_compare_with_is_said(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={DAYS[0]}&to={DAYS[0]}")
    assert "not comparable" in view.changes("messages")
    assert "not comparable" in view.changes("senders")


def test_days_without_figures_show_words_and_no_empty_charts(going: Site, view: View) -> None:
    view.serve(going)
    view.open("lang=en&from=2021-05-05&to=2021-05-05")
    words = view.page.evaluate(
        "[...document.querySelectorAll('.card:not([hidden], .plain)')].map(one => one.querySelector('.empty').checkVisibility()"
        " ? one.querySelector('.empty').textContent : one.id)"
    )
    # A trend of 30 days that holds nothing is as empty.
    assert set(words) <= {
        "No figures for these days",
        "no message of these days was collected live",
        "daily",
        "active_user",
        "retention",
    }
    assert words.count("No figures for these days") >= 9


def test_one_stray_day_is_one_step_away(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={DAYS[0]}&to={DAYS[0]}")
    view.page.locator("#earlier").click()
    view.wait_until(f"document.querySelector('#to').value === '{STRAY}'")
    assert view.figure("messages") == "1"
    view.page.locator("#later").click()
    view.wait_until(f"document.querySelector('#to').value === '{DAYS[0]}'")


def test_axes_begin_where_the_figures_begin(going: Site, view: View) -> None:
    view.serve(going)
    view.open(f"lang=en&from={DAYS[4]}&to={DAYS[4]}")
    assert [row[0] for row in view.table("active_user")] == DAYS[:5]


# --- is it alive


@pytest.mark.parametrize(
    ("state", "seconds", "words"),
    [
        ({"waiting": 0}, 60, ""),
        ({"waiting": 0}, 3600, "none came since"),
        ({"waiting": 312_000}, 60, "312,000 lines wait"),
        ({"waiting": 5}, 3600, "5 lines wait"),
        ({"waiting": None}, 3600, "broker does not answer"),
        ({"waiting": 0, "checked_at": -3600}, 3600, "is Dagster running"),
    ],
)
def test_the_page_says_when_it_is_behind_and_when_the_night_is_quiet(
    report: Report, view: View, tmp_path: Path, state: dict[str, Any], seconds: int, words: str
) -> None:
    site = Site(tmp_path)
    report.refresh(site=site)
    now = time.time()
    index = json.loads(site.index.read_bytes())
    published = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now - seconds + 8 * 3600))
    site.index.write_text(json.dumps(index | {"published_at": published}))
    state = {"checked_at": 0} | state
    site.state.write_text(json.dumps(state | {"checked_at": int(now) + state["checked_at"]}))
    view.serve(site)
    view.open(f"lang=en&from={LAST}&to={LAST}")
    assert words in view.page.locator("#banner").inner_text()
    assert view.page.locator("#banner").is_visible() == bool(words)
    assert "ago" in view.page.locator("#freshness").inner_text()
    assert view.page.locator("#freshness.old").count() == (seconds > 900)
