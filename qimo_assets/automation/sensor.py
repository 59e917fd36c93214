"""The sensor that evaluates the conditions, and launches what they ask for in jobs with names.

Dagster's own sensor for conditions launches runs without a job alone, so that the page of runs
names none of them; and it hands more than one day of an asset to the backfill daemon, which looks
each 30 s and holds the days until it has looked again after their run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from qimo_assets.automation.ranges import PARTITION_TAG, RANGE_START_TAG, in_ranges
from qimo_assets.automation.ticks import each
from qimo_assets.automation.under_way import await_end

A_DAY = 86_400


@dataclass(frozen=True)
class NamedJobs:
    """The jobs under which what is requested stands in the list of runs.

    Attributes:
        dated: For assets with days.
        undated: For assets without.
        checks: For checks that are evaluated without their asset.
    """

    dated: UnresolvedAssetJobDefinition
    undated: UnresolvedAssetJobDefinition
    checks: UnresolvedAssetJobDefinition

    def named(self, request: dg.RunRequest) -> list[dg.RunRequest]:
        """Return a request under its job; one for assets and for checks of others becomes two."""
        assets = list(request.asset_selection or [])
        dated = {PARTITION_TAG, RANGE_START_TAG} & set(request.tags)
        alone = [key for key in request.asset_check_keys or [] if key.asset_key not in assets]
        own = [key for key in request.asset_check_keys or [] if key not in alone]
        job = self.dated if dated else self.undated
        named = [(job, assets, own or None), (self.checks, [], alone)]
        return [
            request.with_replaced_attrs(
                job_name=job.name, asset_selection=keys, asset_check_keys=checks
            )
            for job, keys, checks in named
            if keys or checks
        ]


class HeldConditions(dg.AutomationConditionSensorDefinition):
    """Holds conditions for another sensor: Dagster adds one of its own for assets that no sensor of
    this kind targets.
    """

    def __init__(
        self, target: dg.AssetSelection, evaluated_by: str, run_tags: dict[str, str]
    ) -> None:
        # In the code server: some conditions are of this project, and the daemon cannot evaluate
        # them.
        super().__init__(
            f"{evaluated_by}_conditions",
            target=target,
            run_tags=run_tags,
            emit_backfills=False,
            use_user_code_server=True,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=A_DAY,
            description=f"Launches nothing: the sensor {evaluated_by} evaluates these conditions.",
        )
        self._skips = f"The sensor {evaluated_by} evaluates these conditions."

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Leave the conditions to the other sensor."""
        return SensorExecutionData(skip_message=self._skips, cursor=context.cursor)

    def evaluate(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Evaluate the conditions, going on from the cursor of the sensor that asks."""
        return super().evaluate_tick(context)


def build_automation(
    name: str,
    target: dg.AssetSelection,
    jobs: NamedJobs,
    *,
    seconds: int,
    run_tags: dict[str, str],
    description: str,
) -> list[dg.SensorDefinition]:
    """Return the sensor that evaluates conditions, and the one that holds them.

    Args:
        name: Name of the sensor.
        target: The assets and checks.
        jobs: What is launched.
        seconds: Between two evaluations.
        run_tags: Tags of each run.
        description: What the sensor's page says.
    """
    held = HeldConditions(target, name, run_tags)

    @dg.sensor(
        name=name,
        jobs=[jobs.dated, jobs.undated, jobs.checks],
        minimum_interval_seconds=each(seconds),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def evaluating(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        await_end(context.instance, jobs.dated.name)
        found = held.evaluate(context)
        return dg.SensorResult(
            run_requests=_named(found.run_requests or [], jobs),
            cursor=found.cursor,
            automation_condition_evaluations=found.automation_condition_evaluations,
        )

    return [evaluating, held]


def _named(requests: Sequence[dg.RunRequest], jobs: NamedJobs) -> list[dg.RunRequest]:
    return [named for request in in_ranges(requests) for named in jobs.named(request)]
