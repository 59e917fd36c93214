"""The report as an asset: brought up to date when metrics were published, from the MySQL tables
alone.
"""

import time
from typing import Any

import dagster as dg

from qimo_assets.automation.backoff import TRIES_LOOKED_AT, failures_in_a_row, pause_seconds
from qimo_assets.automation.ticks import each
from qimo_assets.errors import UnreachableError
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.specs import metric_key
from qimo_assets.report.files import Site
from qimo_assets.report.refresh import (
    Refreshed,
    TooManyDays,
    refresh,
    shown_state,
    tell_state,
)
from qimo_assets.report.tables import state
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings

REPORT = dg.AssetKey(["report", "daily"])
REFRESHING = "report"
# Not for each of the metrics that are published within seconds.
SECONDS_BETWEEN_TICKS = 30
# Written by the sensor itself, which is broken off after 60 s: a run is no news, and a process.
DAYS_IN_A_TICK = 31
MAX_RUN_SECONDS = 900
DAYS_LISTED = 31


def build_report_definitions(
    settings: Settings, days_in_a_tick: int = DAYS_IN_A_TICK
) -> dg.Definitions:
    """Return the report's asset, the sensor that refreshes it, and the account with which it reads.

    Args:
        settings: The platform's settings.
        days_in_a_tick: Days that the sensor writes by itself; more are a run.
    """

    @dg.asset(
        key=REPORT,
        deps=[metric_key(metric.name) for metric in METRICS],
        group_name="report",
        kinds={"html"},
        owners=["team:data"],
        description="The report page: totals, hours, regions, people, devices, activity and "
        "pipeline health, by day and range. "
        f"Made from the MySQL tables alone, in {settings.report.directory}, and served at "
        f"{settings.report.address}.",
        metadata={"page": dg.MetadataValue.url(settings.report.address)},
    )
    def report(
        context: dg.AssetExecutionContext, report_mysql: MySQLResource
    ) -> dg.MaterializeResult[Any]:
        site = Site(settings.report.directory)
        site.install_map(settings.report.map_file, settings.report.map_note)
        with report_mysql.connect() as connection:
            done = refresh(connection, site, masked=settings.report.mask_accounts)
        context.log.info("%d days written, %d removed", len(done.written), len(done.removed))
        return dg.MaterializeResult(metadata=_metadata(done, settings.report.address))

    job = dg.define_asset_job(
        "refresh_report",
        selection=dg.AssetSelection.assets(report),
        description="Writes the report's files, when more days changed than a tick of the sensor "
        f"{REFRESHING} writes.",
    )

    # Not an automation condition: its evaluation holds every partition of every metric, 75 kB, and
    # Dagster's column in MySQL takes 64.
    @dg.sensor(
        name=REFRESHING,
        job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=each(SECONDS_BETWEEN_TICKS),
        description="Brings the report up to date when MySQL holds a publication that it does not "
        "show, and tells the page how many lines wait.",
    )
    def report_refreshing(
        context: dg.SensorEvaluationContext, report_mysql: MySQLResource, kafka: KafkaResource
    ) -> dg.SensorResult | dg.RunRequest | dg.SkipReason:
        site = Site(settings.report.directory)
        tell_state(site, _waiting(kafka))
        if reason := _reason_to_wait(context.instance, time.time()):
            return dg.SkipReason(reason)
        with report_mysql.connect() as connection:
            with connection.cursor() as cursor:
                published = state(cursor)
            if published in (None, shown_state(site)):
                return dg.SkipReason("The report shows every publication.")
            site.install_map(settings.report.map_file, settings.report.map_note)
            try:
                done = refresh(
                    connection,
                    site,
                    masked=settings.report.mask_accounts,
                    most_days=days_in_a_tick,
                )
            except TooManyDays:
                return dg.RunRequest(tags={"dagster/max_runtime": str(MAX_RUN_SECONDS)})
        metadata = _metadata(done, settings.report.address)
        return dg.SensorResult(asset_events=[dg.AssetMaterialization(REPORT, metadata=metadata)])

    return dg.Definitions(
        assets=[report],
        jobs=[job],
        sensors=[report_refreshing],
        resources={"report_mysql": MySQLResource.from_settings(settings.reader)},
    )


def _waiting(kafka: KafkaResource) -> int | None:
    """Return how many lines of the topic are not in the lake; None where the broker is silent."""
    try:
        return sum(partition.lag for partition in kafka.state())
    except UnreachableError:
        return None


def _metadata(done: Refreshed, address: str) -> dict[str, Any]:
    return {
        "page": dg.MetadataValue.url(address),
        "newest publication": str(done.published_at),
        "newest instant": str(done.instant),
        "days": done.days,
        "days written": len(done.written),
        "newest days written": done.written[-DAYS_LISTED:],
        "days removed": len(done.removed),
        "tables": done.tables,
    }


def _reason_to_wait(instance: dg.DagsterInstance, now: float) -> str | None:
    """Return why no refresh may be launched: the last one has not ended, or failed a short while
    ago.
    """
    records = instance.get_run_records(
        dg.RunsFilter(tags={"dagster/sensor_name": REFRESHING}), limit=TRIES_LOOKED_AT
    )
    if records and not records[0].dagster_run.is_finished:
        return "A refresh is under way."
    failures = failures_in_a_row([record.dagster_run.status for record in records])
    if failures and now - (records[0].end_time or now) < pause_seconds(failures):
        return (
            f"{failures} refresh(es) in a row failed; the next try comes after a pause of "
            f"{pause_seconds(failures)} s."
        )
    return None
