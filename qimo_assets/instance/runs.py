"""Runs as a command sees them: those of a job are ended, others are waited for, and one is launched
in their place.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import dagster as dg

from qimo_assets.errors import QimoError
from qimo_assets.timeouts import RUNS_STOP_SECONDS, STREAM_STOP_SECONDS

# Set on a run before the platform ends it, so that this is not taken for a stop by a person.
STOPPED_BY_TAG = "qimo/stopped_by"
# Dagster's own list of unfinished statuses leaves QUEUED and NOT_STARTED out; a second run would be
# launched beside a queued one.
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUSPENDED,
    dg.DagsterRunStatus.CANCELING,
)
# Those that have a process.
STARTED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
GRAPHQL_SECONDS = 60
OBSERVATIONS_LOOKED_AT = 20
POLL_SECONDS = 0.5


def end_all(instance: dg.DagsterInstance, stream_job: str) -> None:
    """End the stream between two batches, and let the other runs end; those that do not are tried
    again after the next start.
    """
    end_runs(instance, stream_job, "down")
    wait_for_runs(
        instance, dg.RunsFilter(job_name=stream_job, statuses=list(STARTED)), STREAM_STOP_SECONDS
    )
    # What is left has had its time: asked again, the launcher kills it.
    end_runs(instance, stream_job, "down")
    wait_for_runs(instance, dg.RunsFilter(statuses=list(STARTED)), RUNS_STOP_SECONDS)


def end_runs(instance: dg.DagsterInstance, job: str, stopped_by: str) -> None:
    """Ask the unfinished runs of a job to end, and mark that no person did."""
    for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(UNFINISHED))):
        instance.add_run_tags(run.run_id, {STOPPED_BY_TAG: stopped_by})
        instance.run_coordinator.cancel_run(run.run_id)


def wait_for_runs(instance: dg.DagsterInstance, which: dg.RunsFilter, seconds: float) -> None:
    """Wait until no run is of these any more, or so many seconds."""
    deadline = time.monotonic() + seconds
    while instance.get_runs_count(which) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def run_in_place_of(
    instance: dg.DagsterInstance,
    job: str,
    other: str,
    observed: dg.AssetKey,
    webserver: str,
    seconds: float,
) -> dg.AssetObservation:
    """Run a job for which the unfinished runs of another one have to end, and return what it
    observed.

    Args:
        instance: Dagster's instance.
        job: The job.
        other: The job whose runs are ended; whoever supervises it launches it again afterwards.
        observed: The asset of which the run observes something.
        webserver: URL of the webserver.
        seconds: How long the run may take.

    Raises:
        QimoError: The run did not succeed.
    """
    # It takes long to load, and every run loads this module.
    from dagster_graphql import DagsterGraphQLClient

    url = urlsplit(webserver)
    client = DagsterGraphQLClient(
        url.hostname or "",
        port_number=url.port,
        use_https=url.scheme == "https",
        path_prefix=url.path.rstrip("/"),
        timeout=GRAPHQL_SECONDS,
    )
    # Launched first: it stands in the queue before the next run of the other job, which is launched
    # within seconds.
    run_id = client.submit_job_execution(job)
    end_runs(instance, other, job)
    wait_for_runs(instance, dg.RunsFilter(run_ids=[run_id], statuses=list(UNFINISHED)), seconds)
    records = instance.fetch_observations(
        dg.AssetRecordsFilter(observed), limit=OBSERVATIONS_LOOKED_AT
    ).records
    observation = next(
        (record.asset_observation for record in records if record.run_id == run_id), None
    )
    run = instance.get_run_by_id(run_id)
    if observation is None or run is None or run.status is not dg.DagsterRunStatus.SUCCESS:
        state = run.status.value if run else "gone"
        raise QimoError(
            f"The job {job} did not succeed (run {run_id} is {state}); see "
            f"{webserver.rstrip('/')}/runs/{run_id}"
        )
    return observation
