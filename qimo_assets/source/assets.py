"""The log directory and the agent as assets."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._time import get_current_timestamp

from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS, news
from qimo_assets.automation.ticks import each
from qimo_assets.metadata import table
from qimo_assets.settings import Settings
from qimo_assets.source.files import LogFile, log_files, what_is_not_read
from qimo_assets.source.render import FLUME_CONF, agent_configuration

DIRECTORY = dg.AssetKey(["log", "chat"])
AGENT = dg.AssetKey(["log", "flume_agent"])
EVERY_LINE_IS_READ = dg.AssetCheckKey(AGENT, "every_line_is_read")

WATCH_SECONDS = 60


def build_source_definitions(settings: Settings) -> dg.Definitions:
    """Return the directory and the agent as assets, and the sensor that reports when
    they changed.
    """
    return dg.Definitions(
        assets=[_directory(settings), _agent(settings)],
        asset_checks=[_every_line_is_read(settings)],
        sensors=[_watcher(settings)],
    )


def _directory(settings: Settings) -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=DIRECTORY,
        group_name="source",
        description="The directory in which the chat servers append one line per message. Observe "
        "it to see its files and what is not read yet.",
        metadata={
            "directory": dg.MetadataValue.path(str(settings.source.log_dir)),
            "pattern": settings.source.file_pattern,
        },
        tags={"dagster/kind/file": ""},
    )
    def chat() -> dg.ObserveResult:
        files = log_files(settings.source)
        return dg.ObserveResult(
            data_version=dg.DataVersion(str(sum(file.size for file in files))),
            metadata=_metadata(files),
        )

    return chat


def _agent(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=AGENT,
        deps=[DIRECTORY],
        group_name="source",
        kinds={"flume"},
        owners=["team:data"],
        description="The Flume agent (TAILDIR on hard links to the log files) that carries "
        "each line into the topic. "
        f"Its configuration is flume_conf/{settings.source.agent}.properties. "
        "Materialize it to see how far it has read. "
        "On each chat server it runs with the configuration below (`./qimo agent FILE` writes it "
        "with its passwords), and beside it, as the user that writes the log files, "
        "`python3 links.py agent.properties` (qimo_assets/source/links.py).",
        metadata={
            "configuration": dg.MetadataValue.md(
                f"```properties\n{agent_configuration(settings, secrets=False)}\n```"
            ),
            "template": dg.MetadataValue.path(
                str(FLUME_CONF / f"{settings.source.agent}.properties")
            ),
        },
        code_version=settings.source.agent,
    )
    def flume_agent() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(
            metadata=_metadata(log_files(settings.source)),
            data_version=dg.DataVersion(settings.source.agent),
        )

    return flume_agent


def _every_line_is_read(settings: Settings) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=AGENT,
        name=EVERY_LINE_IS_READ.name,
        description="No line of any log file waits for more than a minute: the files are compared "
        "with the agent's positions, whatever lives or not.",
        metadata={
            EVALUATED: f"each {WATCH_SECONDS} s by the sensor source_watcher, which tells an "
            f"outcome when it changes and after {REPORT_TTL_SECONDS // 60} minutes"
        },
    )
    def every_line_is_read() -> dg.AssetCheckResult:
        return _judge(log_files(settings.source))

    return every_line_is_read


def _watcher(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="source_watcher",
        minimum_interval_seconds=each(WATCH_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the files and how far the agent has read them when they changed, and "
        f"evaluates {EVERY_LINE_IS_READ.name}.",
    )
    def source_watcher(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        files = log_files(settings.source)
        cursor = f"{sum(file.size for file in files)}:{sum(file.read for file in files)}"
        moved = cursor != context.cursor
        told = news(
            context.instance, [_judge(files)], get_current_timestamp(), [AGENT] if moved else []
        )
        if not moved and not told:
            return dg.SkipReason("Neither the files nor the agent's positions have changed.")
        events = [
            dg.AssetObservation(DIRECTORY, metadata=_metadata(files)),
            dg.AssetMaterialization(
                AGENT,
                metadata=_metadata(files),
                # However far it has read, the topic is of the same agent.
                tags={DATA_VERSION_TAG: settings.source.agent},
            ),
        ]
        return dg.SensorResult(asset_events=[*(events if moved else []), *told], cursor=cursor)

    return source_watcher


def shown(name: str) -> str:
    """Return a file's name as it may stand as code in a table of Markdown, whatever somebody put
    into it.
    """
    return "".join(
        character
        if character.isprintable() and character not in "`|"
        else f"\\x{ord(character):02x}"
        for character in name
    )


def _judge(files: Sequence[LogFile]) -> dg.AssetCheckResult:
    unread = what_is_not_read(files)
    return dg.AssetCheckResult(
        asset_key=AGENT,
        check_name=EVERY_LINE_IS_READ.name,
        passed=not unread,
        description=unread or None,
    )


def _metadata(files: Sequence[LogFile]) -> dict[str, dg.MetadataValue]:
    return {
        "files": dg.MetadataValue.int(len(files)),
        "bytes": dg.MetadataValue.int(sum(file.size for file in files)),
        "bytes not yet read": dg.MetadataValue.int(sum(file.unread for file in files)),
        "each file": table(
            ["file", "bytes", "not yet read", "because"],
            [
                (
                    f"{shown(file.name)}{' (gone)' if file.gone else ''}",
                    file.size,
                    file.unread,
                    str(file.unread_because),
                )
                for file in files
            ],
        ),
    }
