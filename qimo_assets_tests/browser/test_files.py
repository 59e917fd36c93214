"""The report's files from MySQL, and their server: what is written again, what is masked, what is
never served.
"""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

import dagster as dg
import pytest

from qimo_assets.automation.backoff import pause_seconds
from qimo_assets.errors import UnreachableError
from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.report.assets import REFRESHING, _reason_to_wait, build_report_definitions
from qimo_assets.report.files import Site
from qimo_assets.resources.kafka import KafkaResource, PartitionState
from qimo_assets.settings import LOOPBACK
from qimo_assets_tests.browser.conftest import DAYS, LAST, Report
from qimo_assets_tests.browser.synthetic import rows_of

TOTAL = next(metric for metric in METRICS if metric.name == "message_total")


def stamps(site: Site) -> dict[str, int]:
    """Return when each file was written, in nanoseconds."""
    return {
        str(path.relative_to(site.root)): path.stat().st_mtime_ns
        for path in site.root.rglob("*")
        if path.is_file()
    }


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def get(report: Report, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the server for a path exactly as it is given."""
    connection = http.client.HTTPConnection(LOOPBACK, report.layout.ports["report"], timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = (
        answer.status,
        {name.lower(): value for name, value in answer.getheaders()},
        answer.read(),
    )
    connection.close()
    return content


# --- refreshing


def test_nothing_is_written_when_nothing_is_new(report: Report) -> None:
    before = stamps(report.site)
    done = report.refresh()
    assert (done.written, done.removed, done.days, done.tables) == ([], [], len(DAYS), len(METRICS))
    assert changed(before, stamps(report.site)) == set()


def test_only_the_month_of_a_touched_day_is_written(report: Report, tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert report.refresh(site=site).written == DAYS
    before = stamps(site)
    old = DAYS[0]
    try:
        report.publish(TOTAL, [old], [(old, 1, 1, 1, 1)])
        assert report.refresh(site=site).written == [old]
        assert changed(before, stamps(site)) == {"data/2021-09.json", "data/index.json"}
        content = json.loads(site.month("2021-09").read_bytes())
        assert content[old]["message_total"] == [[1, 1, 1, 1]]
        assert set(content) == {day for day in DAYS if day.startswith("2021-09")}
    finally:
        report.publish(TOTAL, [old], rows_of(TOTAL, old))


@pytest.mark.parametrize("damage", ["lost", "torn", "index torn"])
def test_a_damaged_file_is_made_whole_again(report: Report, tmp_path: Path, damage: str) -> None:
    site = Site(tmp_path)
    report.refresh(site=site)
    months = {path.name: path.read_bytes() for path in (site.root / "data").iterdir()}
    if damage == "lost":
        site.month("2021-10").unlink()
    elif damage == "torn":
        site.month("2021-10").write_text("{")
        report.publish(TOTAL, ["2021-10-05"], [("2021-10-05", 1, 1, 1, 1)])
        report.refresh(site=site)
        report.publish(TOTAL, ["2021-10-05"], rows_of(TOTAL, "2021-10-05"))
    else:
        site.index.write_text("{")
    report.refresh(site=site)
    found = {path.name: path.read_bytes() for path in (site.root / "data").iterdir()}
    assert {name: found[name] for name in months if name != "index.json"} == {
        name: content for name, content in months.items() if name != "index.json"
    }
    assert json.loads(found["index.json"])["days"] == json.loads(months["index.json"])["days"]


def test_a_database_without_tables_gives_an_empty_report(report: Report, tmp_path: Path) -> None:
    strangers = [Metric("not_there", (), TOTAL.measures, "无", "None", "条", "sum")]
    done = report.refresh(strangers, site=Site(tmp_path))
    assert done.tables == 0
    assert json.loads(Site(tmp_path).index.read_bytes())["metrics"] == []


def test_the_report_reads_as_an_account_that_may_only_read(report: Report) -> None:
    assert report.query("SELECT current_user()") == [("finebi_reader@127.0.0.1",)]


# --- accounts


def test_no_account_is_in_any_file_unless_it_is_asked_for(report: Report, tmp_path: Path) -> None:
    accounts = {
        account
        for party in ("sender", "receiver")
        for (account,) in report.query(f"SELECT DISTINCT account FROM {party}_top")
    }
    assert len(accounts) > 100
    masked, open_site = Site(tmp_path / "masked"), Site(tmp_path / "open")
    report.refresh(site=masked)
    report.refresh(site=open_site, masked=False)
    texts = {
        site: "".join(path.read_text() for path in (site.root / "data").iterdir())
        for site in (masked, open_site)
    }
    assert [account for account in accounts if account in texts[masked]] == []
    assert [account for account in accounts if account not in texts[open_site]] == []
    # Switched over, every day is written again.
    assert report.refresh(site=open_site).written == DAYS
    assert [
        account
        for account in accounts
        if any(account in path.read_text() for path in (open_site.root / "data").iterdir())
    ] == []


# --- the server


def test_every_answer_has_the_headers_that_keep_the_page_to_itself(report: Report) -> None:
    for path, expected in (
        ("/", 200),
        ("/data/index.json", 200),
        ("/vendor/echarts.min.js", 200),
        ("/none", 404),
    ):
        status, headers, _ = get(report, path)
        assert status == expected
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (
            headers["x-content-type-options"],
            headers["x-frame-options"],
            headers["referrer-policy"],
        ) == ("nosniff", "DENY", "no-referrer")


@pytest.mark.parametrize(
    "path",
    [
        "/../account.key",
        "/..%2faccount.key",
        "/%2e%2e/account.key",
        "/data/../../account.key",
        "//account.key",
        "/account.key",
        "/..%5caccount.key",
    ],
)
def test_nothing_outside_of_the_site_is_served(report: Report, path: str) -> None:
    key = report.site.account_key()
    assert (report.site.directory / "account.key").stat().st_mode & 0o777 == 0o600
    status, _, content = get(report, path)
    assert status in (400, 404)
    assert key not in content


def test_a_link_out_of_the_site_is_not_followed(report: Report, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    link = report.site.root / "link"
    link.symlink_to(tmp_path / "secret")
    try:
        assert get(report, "/link")[0] == 404
    finally:
        link.unlink()


def test_another_sites_name_for_this_machine_is_refused(report: Report) -> None:
    assert get(report, "/data/index.json", Host="evil.example")[0] == 400
    assert (
        get(report, "/data/index.json", Host=f"localhost:{report.layout.ports['report']}")[0] == 200
    )


def test_an_unchanged_file_costs_no_body_and_a_large_one_is_compressed(report: Report) -> None:
    path = f"/data/{LAST[:7]}.json"
    _, headers, whole = get(report, path)
    assert get(report, path, **{"If-None-Match": headers["etag"]})[0::2] == (304, b"")
    _, headers, packed = get(report, path, **{"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert len(packed) * 3 < len(whole)


# --- when it is refreshed


class SilentKafka(KafkaResource):
    """A broker that does not answer."""

    def state(self) -> list[PartitionState]:
        raise UnreachableError("no answer")


def test_a_publication_that_is_not_shown_is_written_by_the_sensor_without_a_run(
    report: Report,
) -> None:
    kafka = SilentKafka.from_settings(report.settings.kafka)

    def asked(instance: dg.DagsterInstance, days_in_a_tick: int = 1) -> type:
        definitions = build_report_definitions(report.settings, days_in_a_tick)
        sensor = next(iter(definitions.sensors or ()))
        assert isinstance(sensor, dg.SensorDefinition)
        with dg.build_sensor_context(
            instance=instance, resources={"report_mysql": report.reader(), "kafka": kafka}
        ) as context:
            return type(sensor(context))

    with dg.DagsterInstance.ephemeral() as instance:
        report.refresh()
        assert asked(instance) is dg.SkipReason
        for metric in (TOTAL, METRICS[1]):
            report.publish(metric, [DAYS[0]], rows_of(metric, DAYS[0]))
            assert asked(instance) is dg.SensorResult
            assert asked(instance) is dg.SkipReason
        report.publish(TOTAL, [DAYS[0]], [(DAYS[0], 1, 1, 1, 1)])
        assert asked(instance, days_in_a_tick=0) is dg.RunRequest
        for failures in (1, 2, 3):
            run = instance.add_run(
                dg.DagsterRun(
                    job_name="refresh",
                    status=dg.DagsterRunStatus.STARTED,
                    tags={"dagster/sensor_name": REFRESHING},
                )
            )
            assert asked(instance) is dg.SkipReason
            instance.report_run_failed(run)
            assert asked(instance) is dg.SkipReason
            assert _reason_to_wait(instance, time.time() + pause_seconds(failures) - 5)
            assert _reason_to_wait(instance, time.time() + pause_seconds(failures) + 1) is None
    report.publish(TOTAL, [DAYS[0]], rows_of(TOTAL, DAYS[0]))
    report.refresh()
