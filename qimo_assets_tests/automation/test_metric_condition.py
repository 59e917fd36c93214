"""Which days of a metric are requested, and which views, tick by tick on an ephemeral instance with
a clock of its own.
"""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
import pytest

from qimo_assets.automation.backoff import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, pause_seconds
from qimo_assets.automation.lateness import FEW_DAYS, MAX_DAYS, newest_request
from qimo_assets_tests.automation.graph import BESIDE, METRIC, NOON, VIEW, Graph, running

CANCELED = dg.DagsterRunStatus.CANCELED
OLDER, OLD, TODAY = "2021-11-06", "2021-11-07", NOON[:10]


@pytest.fixture
def graph() -> Graph:
    """A graph whose view exists and whose automation has been evaluated once."""
    return running()


def test_touched_days_are_requested_once_and_no_others(graph: Graph) -> None:
    graph.touch(OLD, TODAY)
    assert graph.tick() == {OLD, TODAY}
    assert graph.tick() == set()
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    assert graph.tick() == set()
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_late_days_wait_for_each_other_and_today_for_none() -> None:
    graph = running(late_minutes=2)
    graph.touch(OLD, TODAY)
    assert graph.tick() == {OLD, TODAY}
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    graph.touch(OLD, TODAY)
    assert graph.tick() == {TODAY}
    graph.materialize(METRIC, TODAY)
    graph.touch(OLDER)
    assert graph.tick() == set()
    graph.touch(TODAY)
    assert graph.tick(minutes=1) == {TODAY}
    assert graph.tick(minutes=1) == {OLDER, OLD}
    assert graph.tick() == set()


def test_a_few_late_days_go_with_todays_next_run() -> None:
    graph = running(late_minutes=2)
    run = graph.started(TODAY)
    graph.touch(OLDER, OLD, TODAY)
    assert graph.tick() == set()
    with graph.clock():
        graph.instance.report_run_canceled(run)
    assert graph.tick() == {OLDER, OLD, TODAY}


def test_late_days_of_a_metric_wait_for_those_of_the_metric_beside_it() -> None:
    graph = running(late_minutes=2)
    graph.touch(OLD)
    assert graph.tick() == graph.beside == {OLD}
    graph.materialize(METRIC, OLD)
    graph.materialize(BESIDE, OLD)
    graph.touch(OLD)
    assert graph.tick(minutes=1.5) == graph.beside == set()
    # Only the other one is asked for by somebody.
    graph.materialize(METRIC, OLD)
    graph.touch(OLD)
    assert graph.tick(minutes=1) == graph.beside == set()
    assert graph.tick(minutes=1) == graph.beside == {OLD}


def test_late_days_of_a_metric_wait_for_todays_run_of_the_metric_beside_it() -> None:
    graph = running(late_minutes=2)
    run = graph.started(TODAY)
    graph.touch(OLD, TODAY)
    assert graph.tick() == graph.beside == set()
    with graph.clock():
        graph.instance.report_run_canceled(run)
    assert graph.tick() == graph.beside == {OLD, TODAY}


def test_metrics_of_one_run_are_due_at_one_moment() -> None:
    assert newest_request([]) is None
    assert newest_request([("own", 20.0)]) == 20.0
    assert newest_request([("shared", 10.7), ("shared", 10.1)]) == 10.1
    assert newest_request([("own", 20.0), ("shared", 10.1)]) == 20.0


def test_many_late_days_wait_for_no_run_of_today() -> None:
    graph = running(late_minutes=2)
    days = [
        str(date.fromisoformat(TODAY) - timedelta(days=number)) for number in range(FEW_DAYS + 2)
    ]
    graph.started(TODAY)
    graph.touch(*days)
    assert graph.tick() == set(days) - {TODAY}


def test_of_many_late_days_the_newest_go_first() -> None:
    graph = running(late_minutes=2)
    days = [
        str(date.fromisoformat(TODAY) - timedelta(days=number)) for number in range(MAX_DAYS + 3)
    ]
    graph.touch(*days)
    first = graph.tick()
    assert first == set(days[: MAX_DAYS + 1])
    assert graph.tick() == set(days) - first


def test_a_view_created_again_requests_no_day(graph: Graph) -> None:
    graph.touch(OLD, TODAY)
    assert graph.tick() == {OLD, TODAY}
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    graph.create_view()
    assert graph.tick() == set()
    assert graph.tick() == set()


def test_a_day_touched_right_after_its_request_is_requested_again(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_a_day_touched_while_its_run_reads_is_requested_again(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.during_run = lambda: graph.touch(OLD)
    graph.materialize(METRIC, OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_a_day_is_not_requested_while_its_run_is_in_progress(graph: Graph) -> None:
    seen: list[set[str]] = []

    def touch_and_tick() -> None:
        graph.touch(OLD)
        seen.append(graph.tick())

    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.during_run = touch_and_tick
    graph.materialize(METRIC, OLD)
    assert seen == [set()]
    assert graph.tick() == {OLD}


def test_days_that_were_there_before_the_first_tick_are_requested() -> None:
    graph = Graph()
    graph.touch(OLDER, OLD)
    graph.create_view()
    assert graph.tick() == {OLDER, OLD}
    assert graph.tick() == set()


def test_days_wait_for_their_view() -> None:
    graph = Graph()
    assert graph.tick() == set()
    graph.touch(OLD)
    assert graph.tick() == {"view"}
    graph.create_view()
    assert graph.tick() == {OLD}


def test_a_view_is_created_once_and_again_when_its_sql_changed(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.materialize(METRIC, OLD)
    assert graph.tick() == set()
    graph.change_view()
    assert graph.tick() == {"view"}
    graph.create_view()
    assert graph.tick() == set()


def test_a_view_that_fails_is_tried_again_with_growing_pauses() -> None:
    graph = Graph()
    graph.fails = True
    graph.tick()
    graph.touch(TODAY)
    assert graph.tick() == {"view"}
    for failures in range(1, 4):
        assert not graph.materialize(VIEW)
        assert graph.tick(minutes=(pause_seconds(failures) - 3) / 60) == set()
        assert graph.tick(minutes=2 / 60) == {"view"}
    graph.fails = False
    graph.create_view()
    assert graph.tick() == {TODAY}


def test_nothing_new_requests_nothing_all_night(graph: Graph) -> None:
    graph.touch(TODAY)
    assert graph.settle() == {TODAY}
    assert [graph.tick(minutes=30) for _ in range(16)] == [set()] * 16


def test_a_failed_day_is_tried_again_with_growing_pauses_until_it_succeeds(graph: Graph) -> None:
    graph.fails = True
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    for failures in range(1, 8):
        assert not graph.materialize(METRIC, OLD)
        # The clock moves a second by itself with each thing that happens.
        assert graph.tick(minutes=(pause_seconds(failures) - 3) / 60) == set()
        assert graph.tick(minutes=2 / 60) == {OLD}
    assert pause_seconds(1) == FIRST_PAUSE_SECONDS
    assert pause_seconds(7) == MAX_PAUSE_SECONDS
    graph.fails = False
    assert graph.materialize(METRIC, OLD)
    assert graph.tick(minutes=60) == set()


def fail_four_times(graph: Graph, day: str) -> None:
    """Request a touched day until its run has failed four times."""
    for _ in range(4):
        assert graph.tick(minutes=5) == {day}
        assert not graph.materialize(METRIC, day)
        assert graph.tick() == set()


def test_lines_that_go_on_do_not_shorten_the_pause_of_a_day_that_fails(graph: Graph) -> None:
    graph.fails = True
    graph.touch(TODAY)
    fail_four_times(graph, TODAY)
    graph.touch(TODAY, minutes=0.5)
    assert graph.tick() == set()
    assert graph.tick(minutes=1) == {TODAY}


def test_a_day_that_fails_does_not_hold_up_another(graph: Graph) -> None:
    graph.fails = True
    graph.touch(OLD)
    fail_four_times(graph, OLD)
    graph.fails = False
    graph.touch(TODAY)
    assert graph.tick() == {TODAY}
    assert graph.materialize(METRIC, TODAY)
    assert graph.tick() == set()
    assert graph.tick(minutes=2) == {OLD}


def test_a_success_forgets_the_failures_before_it(graph: Graph) -> None:
    graph.fails = True
    graph.touch(OLD)
    fail_four_times(graph, OLD)
    graph.fails = False
    assert graph.tick(minutes=5) == {OLD}
    assert graph.materialize(METRIC, OLD)
    graph.fails = True
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert not graph.materialize(METRIC, OLD)
    assert graph.tick() == set()
    assert graph.tick(minutes=FIRST_PAUSE_SECONDS / 60) == {OLD}


def test_a_backfill_of_an_old_day_leaves_the_other_days_to_the_automation(graph: Graph) -> None:
    graph.touch(OLD, TODAY)
    assert graph.materialize(METRIC, OLDER, OLD)
    assert graph.tick() == {OLD, TODAY}
    assert graph.materialize(METRIC, OLD)
    graph.touch(TODAY)
    assert graph.tick() == {TODAY}
    assert not graph.tick()


def test_messages_around_midnight_in_shanghai_belong_to_their_own_days() -> None:
    graph = running("2026-03-10 23:58")
    graph.touch("2026-03-10")
    assert graph.settle() == {"2026-03-10"}
    # The clock of a chat server may be ahead: the day that is still to come waits for its midnight.
    graph.touch("2026-03-11")
    assert graph.tick() == set()
    assert graph.tick(minutes=3) == {"2026-03-11"}
    graph.materialize(METRIC, "2026-03-11")
    graph.touch("2026-03-10", "2026-03-11")
    assert graph.settle() == {"2026-03-10", "2026-03-11"}


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("2026-02-28", "2026-03-01"),
        ("2024-02-29", "2024-03-01"),
        ("2026-04-30", "2026-05-01"),
        ("2026-12-31", "2027-01-01"),
    ],
)
def test_the_ends_of_months_and_years_are_days_like_others(last: str, first: str) -> None:
    graph = running(f"{last} 23:59")
    graph.touch(last)
    assert graph.settle() == {last}
    assert graph.tick(minutes=2) == set()
    graph.touch(last, first)
    assert graph.settle() == {last, first}


def days(first: str, last: str) -> set[str]:
    """Return the days from the first to the last."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return {str(begin + timedelta(days=number)) for number in range((end - begin).days + 1)}


def test_a_late_line_touches_the_days_that_look_back_at_it_and_ahead_to_it_and_no_others() -> None:
    graph = running(looks_back=29, looks_ahead=1)
    graph.touch("2025-12-15")
    assert graph.settle() == days("2025-12-14", "2026-01-13")
    graph.touch("2025-12-15")
    assert graph.settle() == days("2025-12-14", "2026-01-13")


def test_no_day_before_the_first_and_none_in_the_future_is_requested() -> None:
    graph = running(looks_back=29, looks_ahead=1)
    graph.touch("2021-01-01", TODAY)
    assert graph.settle() == days("2021-01-01", "2021-01-30") | {"2026-03-09", TODAY}


def test_a_day_without_messages_is_published_while_its_window_holds_some() -> None:
    graph = running(looks_back=2)
    graph.touch(TODAY)
    assert graph.settle() == {TODAY}
    for night in ({"2026-03-11"}, {"2026-03-12"}, set(), set()):
        assert graph.tick(minutes=24 * 60) == night
        assert all(graph.materialize(METRIC, day) for day in night)


def test_a_metric_that_rests_follows_at_once_and_then_collects_until_it_has_rested() -> None:
    graph = running(rest=3)
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.during_run = lambda: graph.pass_time(1)
    graph.materialize(METRIC, OLD)
    graph.touch(TODAY)
    assert graph.tick(minutes=1) == set()
    graph.touch(OLD)
    assert graph.tick(minutes=2) == {OLD, TODAY}
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    assert graph.tick(minutes=10) == set()


def test_a_rest_has_an_end() -> None:
    graph = running(rest=3)
    graph.during_run = lambda: graph.pass_time(60)
    graph.materialize(METRIC, OLD)
    graph.touch(OLD)
    assert graph.tick(minutes=4) == set()
    assert graph.tick(minutes=1) == {OLD}


@pytest.mark.parametrize("status", [CANCELED, None], ids=["terminated", "deleted"])
def test_a_day_whose_run_was_ended_by_a_person_is_wanted_again(
    status: dg.DagsterRunStatus | None,
) -> None:
    graph = running()
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.ended(OLD, status)
    assert [graph.tick() for _ in range(5)] == [set()] * 5
    assert graph.tick(minutes=1) == {OLD}
    assert graph.settle() == set()


def test_a_day_that_was_touched_while_it_was_read_is_wanted_again_after_a_terminated_run() -> None:
    graph = running()
    graph.touch(OLD)
    graph.tick()
    graph.during_run = lambda: graph.touch(OLD)
    graph.materialize(METRIC, OLD)
    assert graph.tick() == {OLD}
    graph.ended(OLD, CANCELED)
    assert graph.tick() == set()
    assert graph.tick(minutes=1) == {OLD}


def test_a_persons_needless_run_that_is_terminated_is_not_launched_again() -> None:
    graph = running()
    graph.touch(OLD)
    assert graph.settle() == {OLD}
    graph.ended(OLD, CANCELED, by_sensor=False)
    assert [graph.tick(minutes=1) for _ in range(5)] == [set()] * 5


def test_a_day_that_is_being_published_is_not_wanted_for_being_behind() -> None:
    graph = running()
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    run = graph.started(OLD)
    assert [graph.tick(minutes=1) for _ in range(3)] == [set()] * 3
    with graph.clock():
        graph.instance.report_run_failed(run)
    assert graph.tick(minutes=1) == {OLD}
