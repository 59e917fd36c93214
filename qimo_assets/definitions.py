"""Joins the rooms into one set of Dagster definitions; nothing else knows all of them."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from qimo_assets.automation.jobs import CREATE_VIEWS, HOURLY_CHECKS, PUBLISH_METRICS
from qimo_assets.automation.sensor import NamedJobs, build_automation
from qimo_assets.instance.forked_runs import fork_runs
from qimo_assets.instance.retention import build_retention_definitions
from qimo_assets.lake.assets import build_lake_definitions
from qimo_assets.lake.quarantine import build_quarantine_check
from qimo_assets.metrics.assets import build_metric_assets
from qimo_assets.metrics.freshness import build_freshness_definitions
from qimo_assets.metrics.publish import SQL_DIR as METRICS_SQL
from qimo_assets.metrics.recount import build_recount_check
from qimo_assets.metrics.report_view import REPORT_VIEW, build_report_view
from qimo_assets.metrics.specs import metric_key
from qimo_assets.report.assets import build_report_definitions
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.resources.spark import spark_resource
from qimo_assets.settings import Settings, load_settings
from qimo_assets.source.assets import build_source_definitions
from qimo_assets.timeouts import METRICS_RUN_SECONDS
from qimo_assets.topic.assets import build_topic_definitions
from qimo_assets.views.assets import build_view_assets, view_key
from qimo_assets.views.sql import SQL_DIR as VIEWS_SQL
from qimo_assets.views.sql import load_sql

# The daemon looks no more often. An evaluation costs 0.3 s of a processor with 1,000 days of
# history; of a line's way to MySQL, which shall take 75 s at most, the default of 30 s would be a
# large part.
AUTOMATION_SECONDS = 5


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return everything that Dagster shows and runs, for these settings."""
    views = build_view_assets(settings.lake.database)
    metrics = [
        *build_metric_assets(
            settings.lake.database,
            settings.dagster.late_minutes,
            settings.dagster.rest,
            settings.metrics.large_day,
        ),
        build_report_view(),
    ]
    own_checks = [
        build_quarantine_check(view_key("v_quarantine"), settings.lake.database),
        build_recount_check(settings.lake.database, settings.metrics.large_day),
    ]
    checks = dg.AssetSelection.checks(*own_checks)
    jobs = named_jobs(views, metrics, checks)
    automation = build_automation(
        "views_and_metrics",
        dg.AssetSelection.assets(*views, *metrics) | checks,
        jobs,
        seconds=AUTOMATION_SECONDS,
        # A run that hangs would keep its days old for ever; one takes seconds, and a month of days
        # minutes.
        run_tags={"dagster/max_runtime": str(METRICS_RUN_SECONDS)},
        description="Creates the views, publishes the days whose messages changed, and checks the "
        "quarantine once an hour and yesterday's figures once a night.",
    )
    own = dg.Definitions(
        assets=[*views, *metrics],
        asset_checks=own_checks,
        jobs=[jobs.dated, jobs.undated, jobs.checks],
        sensors=automation,
        # One process a run: its steps follow each other, and each process costs.
        executor=dg.in_process_executor,
        resources={
            "kafka": KafkaResource.from_settings(settings.kafka),
            "spark": spark_resource(settings),
            "hive": HiveResource.from_settings(settings.hive),
            "mysql": MySQLResource.from_settings(settings.mysql),
        },
    )
    rooms = (
        build_source_definitions(settings),
        build_topic_definitions(settings),
        build_lake_definitions(settings),
        build_freshness_definitions(metrics),
        build_report_definitions(settings),
    )
    return dg.Definitions.merge(*rooms, own, build_retention_definitions())


def named_jobs(
    views: Sequence[dg.AssetsDefinition],
    metrics: Sequence[dg.AssetsDefinition],
    checks: dg.AssetSelection,
) -> NamedJobs:
    """Return the jobs of the platform's own runs: what stands in the list of runs without a job was
    launched by a person.
    """
    selected = dg.AssetSelection.assets(*metrics)
    report = dg.AssetSelection.assets(metric_key(REPORT_VIEW))
    return NamedJobs(
        dated=dg.define_asset_job(
            PUBLISH_METRICS,
            selection=selected - report,
            description="Publishes days of metrics to MySQL, and checks them.",
        ),
        undated=dg.define_asset_job(
            CREATE_VIEWS,
            selection=dg.AssetSelection.assets(*views) | report,
            description="Creates the views whose SQL changed.",
        ),
        checks=dg.define_asset_job(
            HOURLY_CHECKS,
            selection=checks,
            description="Evaluates the checks that read the lake.",
        ),
    )


load_sql(VIEWS_SQL, METRICS_SQL)
fork_runs(__name__)
defs = build_definitions(load_settings())
