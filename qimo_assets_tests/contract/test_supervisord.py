"""A service that ends again and again, under a real supervisord: tried without end, and seen."""

from __future__ import annotations

import os
import subprocess

import pytest

from qimo_assets.errors import QimoError
from qimo_assets.settings import Settings
from qimo_assets.source.render import write_agent_configuration
from qimo_assets.stack import control
from qimo_assets.stack.layout import Layout
from qimo_assets.stack.services import flume_configuration
from qimo_assets_tests.conftest import free_ports, own_layout, wait_for


def links(layout: Layout) -> control.Component:
    return next(item for item in control.components(layout) if item.name == "links")


def settings_of(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("QIMO_CONFIG", str(layout.home / "qimo.toml"))
    return Settings()  # pyright: ignore[reportCallIssue]  # the values come from the file


def test_a_service_that_keeps_failing_is_seen_and_started_at_once_when_it_is_asked_for(
    software: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_layout(free_ports()) as layout:
        # Nothing rendered the agent's configuration, without which it ends.
        with pytest.raises(QimoError, match=r"links did not answer[\s\S]*agent.properties"):
            control.start(layout, print, only={"links"})
        wait_for(lambda: links(layout).pid is None, 30)
        found = links(layout)
        assert found.state == "unhealthy"
        assert "keeps failing and is tried again" in found.reason
        assert "./qimo logs links" in found.reason
        write_agent_configuration(settings_of(layout, monkeypatch), flume_configuration(layout))
        (layout.data / "flume" / "links").mkdir(parents=True)
        control.start(layout, print, only={"links"})
        assert links(layout).state == "running"
        control.stop(layout, print, only={"links"})
        assert (links(layout).state, links(layout).reason) == ("stopped", "")


def test_what_does_not_end_is_killed_and_named(
    software: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    with own_layout(free_ports()) as layout:
        write_agent_configuration(settings_of(layout, monkeypatch), flume_configuration(layout))
        (layout.data / "flume" / "links").mkdir(parents=True)
        control.start(layout, print, only={"links"})
        # As a run that outlives its code server.
        own = {"QIMO_HOME": str(layout.home), "SUPERVISOR_PROCESS_NAME": "dagster-code"}
        monkeypatch.setattr(control, "END_SECONDS", 1)
        with subprocess.Popen(["sleep", "301"], env={**os.environ, **own}) as left:
            control.stop(layout, told.append)
    assert told == [
        "links stopped",
        f"process {left.pid} (sleep 301) did not end within 1 s and was killed",
    ]
