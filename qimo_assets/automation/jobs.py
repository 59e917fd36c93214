"""The names of the jobs that the platform's own sensors launch."""

from __future__ import annotations

PUBLISH_METRICS, CREATE_VIEWS, HOURLY_CHECKS = "publish_metrics", "create_views", "hourly_checks"
