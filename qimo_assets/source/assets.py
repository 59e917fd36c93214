"""The log directory and the agent as assets."""

from __future__ import annotations

import dagster as dg

from qimo_assets.settings import Settings
from qimo_assets.source.files import log_files
from qimo_assets.source.render import FLUME_CONF, agent_configuration

DIRECTORY = dg.AssetKey(["log", "chat"])
AGENT = dg.AssetKey(["log", "flume_agent"])


def build_source_assets(settings: Settings) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """Return the assets of this room."""

    @dg.observable_source_asset(
        key=DIRECTORY,
        group_name="source",
        description="The directory in which the chat servers append one line per message. Observe it to see its files and what is not read yet.",
        metadata={"directory": dg.MetadataValue.path(str(settings.source.log_dir)), "pattern": settings.source.file_pattern},
        tags={"dagster/kind/file": ""},
    )
    def chat() -> dg.ObserveResult:
        files = log_files(settings.source)
        return dg.ObserveResult(
            data_version=dg.DataVersion(str(sum(file.size for file in files))),
            metadata={
                "files": len(files),
                "bytes": sum(file.size for file in files),
                "bytes not yet read": sum(file.unread for file in files),
                "each file": dg.MetadataValue.md(_table(settings)),
            },
        )

    @dg.asset(
        key=AGENT,
        deps=[DIRECTORY],
        group_name="source",
        kinds={"flume"},
        owners=["team:data"],
        description=f"The Flume agent (TAILDIR) that carries each line into the topic; its configuration is flume_conf/{settings.source.agent}.properties. "
        "Materialize it to see how far it has read.",
        code_version=settings.source.agent,
    )
    def flume_agent() -> dg.MaterializeResult:
        files = log_files(settings.source)
        return dg.MaterializeResult(
            metadata={
                "files": len(files),
                "bytes passed on": sum(file.read for file in files),
                "bytes not yet read": sum(file.unread for file in files),
                "each file": dg.MetadataValue.md(_table(settings)),
                "configuration": dg.MetadataValue.md(f"```properties\n{agent_configuration(settings)}\n```"),
                "template": dg.MetadataValue.path(str(FLUME_CONF / f"{settings.source.agent}.properties")),
            }
        )

    return [chat, flume_agent]


def _table(settings: Settings) -> str:
    rows = [f"| `{file.path.name}` | {file.size:,} | {file.unread:,} |" for file in log_files(settings.source)]
    return "\n".join(["| file | bytes | not yet read |", "|---|---:|---:|", *rows])
