"""The report as an asset: brought up to date when metrics were published, from the MySQL tables alone."""

import dagster as dg

from qimo_assets.automation import report_condition
from qimo_assets.metrics.assets import metric_key
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.report.files import Site
from qimo_assets.report.refresh import refresh
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import ReportSettings, Settings

REPORT = dg.AssetKey(["report", "daily"])
SECONDS_BETWEEN_TICKS = 10
LONGEST_RUN_SECONDS = 900
DAYS_LISTED = 31


def build_report_definitions(settings: Settings) -> dg.Definitions:
    """Return the report's asset, the sensor that refreshes it, and the account with which it reads."""

    @dg.asset(
        key=REPORT,
        deps=[metric_key(metric.name) for metric in METRICS],
        group_name="report",
        kinds={"html"},
        owners=["team:data"],
        description="The report page: totals, hours, regions, people, devices, activity and pipeline health, by day and range. "
        f"Made from the MySQL tables alone, in {settings.report.directory}, and served at {address(settings.report)}.",
        metadata={"page": dg.MetadataValue.url(address(settings.report))},
        automation_condition=report_condition(),
    )
    def report(context: dg.AssetExecutionContext, report_mysql: MySQLResource) -> dg.MaterializeResult:
        with report_mysql.connect() as connection:
            done = refresh(connection, Site(settings.report.directory), masked=settings.report.mask_accounts)
        context.log.info("%d days written, %d removed", len(done.written), len(done.removed))
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.url(address(settings.report)),
                "newest publication": str(done.published_at),
                "newest instant": str(done.instant),
                "days": done.days,
                "days written": len(done.written),
                "newest days written": done.written[-DAYS_LISTED:],
                "days removed": len(done.removed),
                "tables": done.tables,
            }
        )

    refreshing = dg.AutomationConditionSensorDefinition(
        "report",
        target=dg.AssetSelection.assets(report),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        run_tags={"dagster/max_runtime": str(LONGEST_RUN_SECONDS)},
        description="Brings the report up to date after a publication, at most once a minute.",
    )
    return dg.Definitions(assets=[report], sensors=[refreshing], resources={"report_mysql": _reader(settings)})


def address(settings: ReportSettings) -> str:
    """Return where the page is."""
    return f"http://{settings.host}:{settings.port}/"


def _reader(settings: Settings) -> MySQLResource:
    """Return MySQL with the account that may only read; with the publisher's where that one's password is not known."""
    account = {"username": settings.report.username, "password": settings.report.password} if settings.report.password else {}
    return MySQLResource.from_settings(settings.mysql.model_copy(update=account))
