"""The tiers of the tests as `./qimo test` names them: what each needs, and pytest's arguments."""

from __future__ import annotations

from qimo_assets.settings import PROJECT_ROOT

TESTS = PROJECT_ROOT / "qimo_assets_tests"
TIERS = {
    "unit": "functions alone; no service, no jars",
    "automation": "Dagster's conditions and runs on an instance of their own",
    "contract": "one real service each: Kafka, Flume, MariaDB, Spark's parser",
    "browser": "the report in Chromium",
    "lakes": "the streaming job on systems without the platform, killed at any moment",
    "integration": "everything together on one stack",
    "faults": "each process killed while lines flow; by its name the full matrix, more than an "
    "hour of it, which writes docs/reliability.md",
    "cluster": "the integration tests on the profile cluster, and what it alone has; "
    "only by its name",
    "yarn": "likewise on the profile yarn",
}
# What runs on each profile beside the single one.
ON_EACH_PROFILE = tuple(
    str(TESTS / "integration" / f"test_{name}.py") for name in ("end_to_end", "closed", "doctor")
)
# What the name of a tier stands for beside its folder; an option that is given again wins.
OPTIONS = {
    "faults": ("--kills", "5", "--report", "docs"),
    "cluster": (*ON_EACH_PROFILE, "--profile", "cluster"),
    "yarn": (*ON_EACH_PROFILE, "--profile", "yarn"),
}


def pytest_arguments(arguments: tuple[str, ...]) -> list[str]:
    """Return pytest's own arguments for those of `./qimo test`, of which the first may be the name
    of a tier.
    """
    if arguments and arguments[0].isidentifier() and (TESTS / arguments[0]).is_dir():
        return [str(TESTS / arguments[0]), *OPTIONS.get(arguments[0], ()), *arguments[1:]]
    return list(arguments)
