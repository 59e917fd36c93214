"""The report as an asset: brought up to date when metrics were published, from the MySQL tables
alone.
"""

import time

import dagster as dg

from qimo_assets.automation.backoff import TRIES_LOOKED_AT, failures_in_a_row, pause_seconds
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.specs import metric_key
from qimo_assets.report.files import Site
from qimo_assets.report.refresh import refresh, shown_state, tell_state
from qimo_assets.report.tables import state
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings

REPORT = dg.AssetKey(["report", "daily"])
REFRESHING = "report"
# A refresh is a process of its own, 4 s of a processor: not for each of the metrics that are
# published within seconds.
SECONDS_BETWEEN_TICKS = 30
LONGEST_RUN_SECONDS = 900
DAYS_LISTED = 31


def build_report_definitions(settings: Settings) -> dg.Definitions:
    """Return the report's asset, the sensor that refreshes it, and the account with
    which it reads.
    """

    @dg.asset(
        key=REPORT,
        deps=[metric_key(metric.name) for metric in METRICS],
        group_name="report",
        kinds={"html"},
        owners=["team:data"],
        description="The report page: totals, hours, regions, people, devices, activity and "
        "pipeline "
        "health, by day and range. "
        f"Made from the MySQL tables alone, in {settings.report.directory}, and served at "
        f"{settings.report.address}.",
        metadata={"page": dg.MetadataValue.url(settings.report.address)},
    )
    def report(
        context: dg.AssetExecutionContext, report_mysql: MySQLResource
    ) -> dg.MaterializeResult:
        site = Site(settings.report.directory)
        site.install_map(settings.report.map_file, settings.report.map_note)
        with report_mysql.connect() as connection:
            done = refresh(connection, site, masked=settings.report.mask_accounts)
        context.log.info("%d days written, %d removed", len(done.written), len(done.removed))
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.url(settings.report.address),
                "newest publication": str(done.published_at),
                "newest instant": str(done.instant),
                "days": done.days,
                "days written": len(done.written),
                "newest days written": done.written[-DAYS_LISTED:],
                "days removed": len(done.removed),
                "tables": done.tables,
            }
        )

    # Not an automation condition: its evaluation holds every partition of every metric, 75 kB, and
    # Dagster's column in MySQL takes 64.
    @dg.sensor(
        name=REFRESHING,
        asset_selection=dg.AssetSelection.assets(report),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        description="Brings the report up to date when MySQL holds a publication that it does not "
        "show, and tells the page how many lines wait.",
    )
    def report_refreshing(
        context: dg.SensorEvaluationContext, report_mysql: MySQLResource, kafka: KafkaResource
    ) -> dg.RunRequest | dg.SkipReason:
        tell_state(Site(settings.report.directory), _waiting(kafka))
        if reason := _reason_to_wait(context.instance, time.time()):
            return dg.SkipReason(reason)
        with report_mysql.connect() as connection, connection.cursor() as cursor:
            published = state(cursor)
        if published in (None, shown_state(Site(settings.report.directory))):
            return dg.SkipReason("The report shows every publication.")
        return dg.RunRequest(tags={"dagster/max_runtime": str(LONGEST_RUN_SECONDS)})

    return dg.Definitions(
        assets=[report],
        sensors=[report_refreshing],
        resources={"report_mysql": MySQLResource.from_settings(settings.reader)},
    )


def _waiting(kafka: KafkaResource) -> int | None:
    """Return how many lines of the topic are not in the lake; None where the broker is silent."""
    try:
        return sum(partition.lag for partition in kafka.state())
    except dg.Failure:
        return None


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
