"""What the benchmarks make of their measurements, and what they take over from the environment."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import click
import pytest
import yaml

from benchmarks import ingest
from benchmarks.age import Line, Watched, commits_of, followers
from benchmarks.age import figures as age_figures
from benchmarks.commands import PLANS, bench
from benchmarks.day import Part, marks
from benchmarks.day import figures as day_figures
from benchmarks.grow import blocks, grown
from benchmarks.measure import (
    Figure,
    Machine,
    Report,
    alternate,
    means,
    percentile,
    rounded,
    trend,
)
from benchmarks.plans import AgePlan, CollectPlan, DayPlan, chosen
from benchmarks.storage import JOB_TICKS_KEPT, MIB, Size
from benchmarks.storage import figures as storage_figures
from benchmarks.testbed import DEFAULT_PORT_OFFSET, tuning
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.layout import DEFAULT_PORT_OFFSET as STACK_PORT_OFFSET
from qimo_assets.stack.profiles import PROFILES
from qimo_assets_tests.conftest import TEST_PORT_OFFSET
from qimo_assets_tests.contract.conftest import PORT_OFFSET as CONTRACT_PORT_OFFSET
from qimo_assets_tests.lakes.conftest import PORT_OFFSET as LAKES_PORT_OFFSET

# The least of Linux's net.ipv4.ip_local_port_range unless it is set otherwise.
FIRST_OUTGOING_PORT = 32_768
FIGURE = Figure(
    "speed", "lines/s", {"ours": [10.0, 40.0, 30.0], "plain": [20.0, 50.0, 30.0]}, {"lost": 0.0}
)
REPORT = Report(
    "collect",
    [FIGURE, Figure("time", "s", {"ours": [2.0]})],
    {"lines": 1_000, "rates": (1_000, 3_000)},
    Machine(2, 23.5, 0.1, "now"),
)


# --- repetitions


def test_subjects_alternate_forwards_and_backwards() -> None:
    order: list[str] = []
    found = alternate(
        {
            "a": lambda: order.append("a"),
            "b": lambda: order.append("b"),
            "c": lambda: order.append("c"),
        },
        3,
    )
    assert "".join(order) == "abccbaabc"
    assert {name: len(answers) for name, answers in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_the_median_of_the_ratios_within_repetitions() -> None:
    # The ratio of the medians would be 1.
    assert FIGURE.medians == {"ours": 30.0, "plain": 30.0}
    assert FIGURE.ratios == {"plain": 0.8}


def test_a_baseline_of_zero_has_no_ratio() -> None:
    assert Figure("x", "s", {"ours": [1.0], "zero": [0.0]}).ratios == {}


# --- the report


def test_the_json_form() -> None:
    found = json.loads(json.dumps(REPORT.as_dict()))
    assert {
        name: found[name] for name in ("name", "value", "unit", "baselines", "ratios", "runs")
    } == {
        "name": "collect",
        "value": 30.0,
        "unit": "lines/s",
        "baselines": {"plain": 30.0},
        "ratios": {"plain": 0.8},
        "runs": {"ours": [10.0, 40.0, 30.0], "plain": [20.0, 50.0, 30.0]},
    }
    assert found["spread"]["ours"] == {"min": 10.0, "max": 40.0}
    assert found["figure"] == "speed"
    assert [figure["name"] for figure in found["figures"]] == ["time"]
    assert found["plan"] == {"lines": 1_000, "rates": [1_000, 3_000]}
    assert found["machine"]["cores"] == 2


def test_the_text_is_a_table() -> None:
    lines = REPORT.render().splitlines()
    assert (
        lines[0]
        == "collect: 2 cores, 23.5 GiB, now, load before 0.1; lines 1,000, rates 1,000 and 3,000"
    )
    table = [line.count("|") for line in lines[2:]]
    assert set(table) == {8}
    assert "| speed | lines/s | plain | 30.0 | 20.0 | 50.0 | 0.8 |" in lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, 0.0), (123_456.7, 123_457), (0.123456, 0.1235), (-2.34567, -2.346), (999.96, 1000.0)],
)
def test_figures_have_four_digits(value: float, shown: float) -> None:
    assert rounded(value) == shown


# --- statistics


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.501, 51)]
)
def test_percentiles_by_nearest_rank(share: float, expected: int) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_a_trend_of_the_textbook() -> None:
    # S = 6 of 4 points: variance 4 * 3 * 13 / 18 = 8.667, z = 5 / 2.944 = 1.698, one-sided p =
    # 0.0447.
    found = trend([1.0, 2.0, 3.0, 4.0])
    assert found.slope == 1.0
    assert found.rises == pytest.approx(0.0447, abs=0.0001)


def test_noise_has_no_trend_and_a_rise_in_noise_is_found() -> None:
    random = Random(7)
    noise = [random.gauss(2, 0.2) for _ in range(50)]
    assert trend(noise).rises > 0.05
    rising = trend([value + 0.02 * place for place, value in enumerate(noise)])
    assert rising.rises < 0.001
    assert rising.slope == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("values", [[1.0] * 9, [9.0, 8.0, 7.0, 6.0, 5.0]])
def test_what_stands_or_falls_does_not_rise(values: list[float]) -> None:
    assert trend(values).rises >= 0.5


def test_means_of_whole_blocks() -> None:
    assert means([1.0, 3.0, 5.0, 7.0, 9.0], 2) == [2.0, 6.0]


# --- plans and options


def test_what_is_given_wins_over_the_sizes() -> None:
    assert chosen(CollectPlan, quick=False, lines=None) == CollectPlan()
    assert chosen(CollectPlan, quick=True, lines=7, seed=None).lines == 7
    assert chosen(CollectPlan, quick=True).lines < CollectPlan().lines
    assert chosen(DayPlan, quick=False, refreshes=0).refreshes == 0
    assert chosen(AgePlan, quick=False, rates=()).rates == AgePlan().rates
    assert chosen(AgePlan, quick=True, rates=(5,)).rates == (5,)


def test_the_last_seconds_hold_for_the_rates_that_are_left() -> None:
    assert chosen(AgePlan, quick=False).flows == [(1_000, 600), (3_000, 600)]
    plan = chosen(AgePlan, quick=False, rates=(1, 2, 3), seconds=(60, 20))
    assert plan.flows == [(1, 60), (2, 20), (3, 20)]


@pytest.mark.parametrize("name", PLANS)
def test_each_benchmark_is_a_command_with_its_sizes(name: str) -> None:
    command = bench.commands[name]
    options = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert {"--json", "--quick", "--seed", "--port-offset"} <= options


# --- the stack of a benchmark


def test_what_tunes_is_taken_over_and_what_names_another_system_is_not(tmp_path: Path) -> None:
    file = tmp_path / "qimo.toml"
    file.write_text('[lake]\nwarehouse = "hdfs://here/warehouse"\n[kafka]\nbootstrap = "here:1"\n')
    variables = {
        "QIMO_LAKE__TRIGGER_SECONDS": "4",
        "QIMO_LAKE__WAREHOUSE": "hdfs://production/warehouse",
        "QIMO_KAFKA__BOOTSTRAP": "production:9092",
        "QIMO_MYSQL__HOST": "production",
        "QIMO_CONFIG": "/etc/qimo.toml",
        "QIMO_KAFKA": '{"bootstrap": "production:9092"}',
        "HOME": "/root",
    }
    assert tuning(variables, file) == {"QIMO_LAKE__TRIGGER_SECONDS": "4"}


@pytest.mark.parametrize(
    "other", [STACK_PORT_OFFSET, TEST_PORT_OFFSET, CONTRACT_PORT_OFFSET, LAKES_PORT_OFFSET]
)
def test_no_port_of_another_stack_is_taken(other: int) -> None:
    usual = {port for profile in PROFILES.values() for port in profile.ports.values()}
    assert max(usual) + DEFAULT_PORT_OFFSET < FIRST_OUTGOING_PORT
    assert not {port + DEFAULT_PORT_OFFSET for port in usual} & {port + other for port in usual}


# --- age


def test_a_line_was_written_when_the_file_first_reached_beyond_its_first_byte() -> None:
    watched = Watched(
        sizes={"a.log": [0, 10, 10, 30], "new.log": [0, 0, 0, 5]},
        times=[100.0, 100.2, 100.4, 100.6],
    )
    moments = {
        (name, offset): watched.written(Line(name, offset, "2026-01-01", 0.0, ""))
        for name, offset in [("a.log", 0), ("a.log", 9), ("a.log", 10), ("new.log", 0)]
    }
    assert moments == {
        ("a.log", 0): 100.2,
        ("a.log", 9): 100.2,
        ("a.log", 10): 100.6,
        ("new.log", 0): 100.6,
    }


def test_sizes_of_a_file_that_appears_later(tmp_path: Path) -> None:
    watched = Watched()
    (tmp_path / "a.log").write_bytes(b"12345")
    watched.keep_sizes(tmp_path)
    (tmp_path / "b.log").write_bytes(b"123")
    watched.keep_sizes(tmp_path)
    assert watched.sizes == {"a.log": [5, 5], "b.log": [0, 3]}


def test_a_line_is_published_with_the_first_instant_not_older_than_its_commit() -> None:
    watched = Watched(commits={"20": 5.0})
    line = Line("a.log", 0, "2026-01-01", 0.0, "20")
    for metric in followers():
        for instant, moment in [("10", 1.0), ("20", 7.0), ("20", 8.0), ("30", 9.0)]:
            watched.keep_publication(metric, line.day, instant, moment)
    assert watched.published(line, "message_total") == 7.0
    assert watched.published_everywhere(line) == 7.0
    assert watched.has_all([line])
    watched.publications["sex_pair", line.day] = [("10", 1.0)]
    assert watched.published_everywhere(line) is None
    assert not watched.has_all([line])


def test_the_ages_of_lines_by_their_stations() -> None:
    watched = Watched(
        sizes={"a.log": [0, 100]}, times=[0.0, 10.0], commits={"20": 14.0}, resident_mb=[5.0, 7.0]
    )
    for metric in followers():
        watched.keep_publication(
            metric, "2026-01-01", "20", 30.0 if metric == "message_total" else 40.0
        )
    lines = [Line("a.log", offset, "2026-01-01", 11.0 + offset / 50, "20") for offset in range(100)]
    found = {
        figure.name: next(iter(figure.runs.values()))[0]
        for figure in age_figures("1 line/s", lines, watched)
    }
    assert found["age in MySQL, p99, at 1 line/s"] == 20.0
    assert found["age in all of MySQL, p50, at 1 line/s"] == 30.0
    assert found["age in the lake, p50, at 1 line/s"] == 4.0
    assert found["age in the topic, p50, at 1 line/s"] == pytest.approx(1.98)
    assert found["resident memory at 1 line/s"] == 7.0


def test_metrics_that_wait_or_read_other_tables_do_not_follow_each_change() -> None:
    assert "message_total" in followers()
    assert not {"active_user", "data_quality"} & set(followers())


def test_completed_commits_are_told_from_those_under_way() -> None:
    files = {
        "10_12.deltacommit": 1.5,
        "13.deltacommit.inflight": 2.0,
        "13.deltacommit.requested": 2.0,
        "11_14.commit": 3.0,
        "15_16.clean": 4.0,
    }
    assert commits_of(files) == {"10": 1.5}


# --- day


def test_a_day_is_looked_at_as_it_grows() -> None:
    assert marks(20_000) == [10_000, 20_000]
    assert marks(3_000_000) == [1_000_000, 3_000_000]
    assert marks(86_400_000) == [1_000_000, 3_000_000, 10_000_000, 30_000_000, 86_400_000]


def test_what_a_part_costs_is_told_for_each_of_its_own_lines() -> None:
    first = Part(10, 10, 2.0, [5.0, 4.0, 9.0], [2.0], [1.0], 0.001, 10, 3, MIB)
    whole = Part(30, 20, 8.0, [4.0], [3.0], [1.0], 0.004, 40, 5, 2 * MIB)
    told = day_figures([first, whole])
    rate, stream, tasks, rewritten, query, *_ = told
    assert (rate.subject, rate.ratios) == ("30 rows", {"10 rows": 0.8})
    assert stream.medians == {"30 rows": 2.5, "10 rows": 5.0}
    assert tasks.medians == {"30 rows": 200.0, "10 rows": 100.0}
    assert rewritten.medians == {"30 rows": 2.0, "10 rows": 1.0}
    assert (query.name, query.ratios) == ("query of the day at 30 rows", {"at rest": 3.0})
    assert not [figure for figure in told if "refresh" in figure.name]


def test_a_refresh_is_held_against_another_engine() -> None:
    first, whole = (
        Part(
            rows, rows, 1.0, [1.0], [1.0], [1.0], refreshes=[6.0], processor=processor, counted=8.0
        )
        for rows, processor in ((10, [9.0]), (30, [1.0, 2.0, 4.0]))
    )
    told = day_figures([first, whole])
    [count] = [figure for figure in told if figure.name == "processor time at 30 rows"]
    assert count.ratios == {"all figures of the day by DuckDB": 0.25}


# --- grow


def test_blocks_pass_over_what_was_disturbed() -> None:
    nothing = float("nan")
    assert blocks([1.0, nothing, 3.0, nothing, nothing, nothing, 5.0, 6.0, 9.0, 1.0], 3, max) == [
        3.0,
        9.0,
    ]


def test_a_series_is_told_by_its_quarters_and_its_slope() -> None:
    figure = grown("batch", "s", [9.0, 9.0, *(float(place) for place in range(1, 19))], 20)
    assert (figure.runs["first quarter"], figure.runs["last quarter"]) == (
        [1.0, 2.0, 3.0, 4.0],
        [15.0, 16.0, 17.0, 18.0],
    )
    assert figure.details["slope, s per 1,000 commits"] == 50.0
    assert float(figure.details["p of such a rise by chance"]) < 0.001
    assert grown("batch", "s", [1.0, 2.0], 20).details == {"points": 1.0}


# --- ingest and refresh


def test_the_first_version_finds_a_province_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ingest, "_provinces", lambda jar: ([0, 2**24, 2**25], [None, "北京", "上海"])
    )
    assert [
        ingest.province_of("jar", address)
        for address in ("1.2.3.4", "2.0.0.0", "0.0.0.1", "::1", "none", None)
    ] == [
        "北京",
        "上海",
        None,
        None,
        None,
        None,
    ]


def test_mixed_lines_are_the_same_lines(tmp_path: Path) -> None:
    ingest.mixed_days(tmp_path / "mixed", 500, 5, seed=3)
    mixed = (tmp_path / "mixed" / "chat-1.log").read_bytes().split(b"\n")
    ordered = [
        line
        for path in (tmp_path / "mixed.ordered").iterdir()
        for line in path.read_bytes().split(b"\n")
    ]
    assert sorted(filter(None, mixed)) == sorted(filter(None, ordered))
    assert mixed[:50] != ordered[:50]


def test_one_live_day_is_one_day_of_the_calendar(tmp_path: Path) -> None:
    day = ingest.one_day(tmp_path, 2_000, seed=3).encode()
    lines = [line for path in tmp_path.iterdir() for line in path.read_bytes().split(b"\n")[:-1]]
    assert sum(line.startswith(day) for line in lines) > 0.97 * len(lines)


# --- Dagster's storage


def test_a_table_holds_after_a_month_what_retention_keeps_of_it() -> None:
    before = {
        "event_logs": Size(100, 100, 10 * MIB),
        "kvs": Size(3, 3, 1),
        "asset_keys": Size(30, 30, MIB),
        "concurrency_slots": Size(5, 5, MIB),
    }
    after = {
        # Half an hour: 50 rows of 0.1 MiB each, and 20 older ones were deleted.
        "event_logs": Size(150, 130, 13 * MIB),
        "kvs": Size(3, 3, 2),
        "snapshots": Size(10, 10, MIB),
        # Each write of a row takes a number.
        "asset_keys": Size(5030, 30, MIB),
        # Dagster gives them back.
        "concurrency_slots": Size(9, 2, MIB),
    }
    total, *each = storage_figures(before, after, 1800)
    assert [figure.name for figure in each] == ["snapshots", "event_logs"]
    found = {figure.name: figure.medians for figure in each}
    assert found["event_logs"] == {"an hour": 10.0, "after a month": 480.0}
    # Nothing deletes these.
    assert found["snapshots"] == {"an hour": 2.0, "after a month": 1440.0}
    assert total.medians == {"an hour": 12.0, "after a month": 1920.0}


def test_a_table_that_grows_by_much_is_told() -> None:
    _, events = storage_figures({}, {"event_logs": Size(10**6, 10**6, MIB**2)}, 3600)
    assert events.medians == {"an hour": float(MIB), "after a month": 48.0 * MIB}


def test_the_benchmark_knows_how_long_dagster_keeps_ticks() -> None:
    instance = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    assert instance["retention"]["sensor"]["purge_after_days"]["success"] == JOB_TICKS_KEPT.days
