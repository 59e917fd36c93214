"""A live run whose end Dagster wants, but cannot tell its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from pyspark.errors import StreamingQueryException

from qimo_assets.errors import QimoError
from qimo_assets.lake import run as lake_run
from qimo_assets.lake.background import repeated
from qimo_assets.lake.continuity import LinesLost
from qimo_assets.lake.fence import ClockBehind
from qimo_assets.lake.mode import Mode
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.places import Known
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.lake.writer_lock import WriterLockHeld


class Following:
    """A run that is followed; what it reports or renews is counted."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self.looks = 0
        self.context = SimpleNamespace(instance=instance, run_id=run_id)
        self.query = SimpleNamespace(isActive=True)

    def report(self, query: Any) -> None:
        self.looks += 1
        query.isActive = self.looks < 5

    def check(self) -> None:
        pass

    def follow(self) -> None:
        self.query.exception = lambda: None
        fence = SimpleNamespace(refused=None)
        lake_run._follow(self.context, self.query, self, self, fence)  # pyright: ignore[reportArgumentType, reportPrivateUsage]  # stand-ins


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Callable[[dg.DagsterRunStatus], Following]:
    monkeypatch.setattr(lake_run, "LOCK_SECONDS", -1)
    monkeypatch.setattr(lake_run, "POLL_SECONDS", 0)
    instance = dg.DagsterInstance.ephemeral()
    return lambda status: Following(instance, create_run_for_test(instance, status=status).run_id)


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE],
)
def test_ends_as_if_it_were_interrupted(
    following: Callable[[dg.DagsterRunStatus], Following], status: dg.DagsterRunStatus
) -> None:
    run = following(status)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        run.follow()
    assert run.looks == 1


def test_goes_on_while_it_is_wanted(following: Callable[[dg.DagsterRunStatus], Following]) -> None:
    run = following(dg.DagsterRunStatus.STARTED)
    run.follow()
    assert run.looks == 5


def test_offsets_are_committed_while_a_report_takes_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lake_run, "POLL_SECONDS", 0.001)
    twice = threading.Barrier(2)
    committed: list[str] = []

    def commit(query: str) -> None:
        committed.append(query)
        if len(committed) == 2:
            twice.wait()

    with lake_run._committing("q", SimpleNamespace(commit=commit)):  # pyright: ignore[reportArgumentType, reportPrivateUsage]  # stand-ins
        twice.wait(10)
    ended = len(committed)
    time.sleep(0.05)
    assert committed == ["q"] * ended
    assert [thread for thread in threading.enumerate() if thread.name == "progress"] == []


def test_work_that_raises_is_told_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    outcomes = iter([ZeroDivisionError("on purpose")])

    def work() -> None:
        if (error := next(outcomes, None)) is not None:
            raise error
        done.set()

    with repeated(work, 0.001, "progress"):
        assert done.wait(10)
    assert "progress failed and is tried again" in caplog.text
    assert "ZeroDivisionError: on purpose" in caplog.text


def test_the_query_is_stopped_before_a_service_is_waited_for(
    following: Callable[[dg.DagsterRunStatus], Following],
) -> None:
    order: list[str] = []
    began, ended = threading.Event(), threading.Event()

    def look() -> None:
        # It may look once more before it is told to end.
        if not ended.is_set():
            began.set()
            assert ended.wait(10)
            order.append("service")

    def end() -> None:
        order.append("end")
        ended.set()

    def report(query: object, *, at_once: bool = False) -> None:
        assert began.wait(10)
        order.append("report")

    run = following(dg.DagsterRunStatus.CANCELING)
    run.query.stop, run.query.id = partial(order.append, "query"), "q"
    run.query.status = {"isTriggerActive": False}
    run.query.exception = lambda: None
    run.context.log = SimpleNamespace(info=lambda _: None)
    state = SimpleNamespace(known=Known())
    stream = SimpleNamespace(start=lambda until_caught_up: run.query, state=state, end=end)
    session = SimpleNamespace(_jvm=SimpleNamespace(_gateway_client=None))
    services = [SimpleNamespace(look=look, table=MESSAGE)]
    reporter = SimpleNamespace(report=report, commit=lambda _: None)
    fence = SimpleNamespace(refused=None)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        lake_run._stream(  # pyright: ignore[reportPrivateUsage]
            *cast("Any", (run.context, session, stream, Mode.LIVE, services, Pace(0.001))),
            *cast("Any", (reporter, run, fence)),
        )
    assert order == ["report", "query", "end", "service", "report"]


@pytest.mark.parametrize(
    ("error", "ended"),
    [(dg.DagsterExecutionInterruptedError(), True), (WriterLockHeld("gone"), False)],
)
def test_what_is_known_is_not_written_beside_another_writer(error: Exception, ended: bool) -> None:
    done: list[str] = []
    stop = partial(done.append, "stop")
    query = SimpleNamespace(isActive=False, stop=stop, exception=lambda: None)
    stream = SimpleNamespace(end=lambda: done.append("end"))
    with pytest.raises(type(error)), lake_run._stopped_at_the_end(*cast("Any", (query, stream))):  # pyright: ignore[reportPrivateUsage]
        raise error
    assert done == ["stop", *(["end"] if ended else [])]


@pytest.mark.parametrize(
    ("text", "cause"),
    [("Caused by: java.io.C: No space", "No space"), ("ClockBehind: 5 s behind", "^5 s behind$")],
)
def test_a_refusal_is_the_cause_where_the_query_ended_with_it(text: str, cause: str) -> None:
    query = SimpleNamespace(isActive=False, exception=lambda: Exception(text))
    fence = SimpleNamespace(refused=ClockBehind("5 s behind"))
    with pytest.raises(QimoError, match=cause):
        lake_run._follow(*cast("Any", (None, query, None, None, fence)))  # pyright: ignore[reportPrivateUsage]


def test_a_failure_names_its_innermost_cause() -> None:
    text = (
        "Traceback\n  File x\njava.lang.A: outer\n\tat frame\nCaused by: java.lang.B: "
        "middle\n\tat frame\nCaused by: java.io.C: No space left\n\tat frame"
    )
    failed = lake_run._failed(cast("StreamingQueryException", text))  # pyright: ignore[reportPrivateUsage]
    assert "checkpoint. java.io.C: No space left\n" in str(failed)
    assert not isinstance(failed, LinesLost)


def test_a_failure_over_lines_that_are_gone_is_of_its_own_kind() -> None:
    text = "java.lang.IllegalStateException: Some data may have been lost because ..."
    assert isinstance(lake_run._failed(cast("StreamingQueryException", text)), LinesLost)  # pyright: ignore[reportPrivateUsage]
