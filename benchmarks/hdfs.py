"""What HDFS says of files, asked over WebHDFS: how many there are and how large, and when they were
written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from qimo_assets.settings import LOOPBACK
from qimo_assets.stack.layout import Layout

TIMEOUT_SECONDS = 30
# Without the environment's proxies: what is asked here is always on this machine.
_OPENER = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Content:
    """What stands below a directory: files, and their bytes without replicas."""

    files: int
    bytes: int


def written(layout: Layout, path: str) -> dict[str, float]:
    """Return name -> seconds since the epoch at which each file of a directory was written; nothing
    where there is no directory.
    """
    found = _ask(layout, path, "LISTSTATUS")
    return (
        {
            item["pathSuffix"]: item["modificationTime"] / 1000
            for item in found["FileStatuses"]["FileStatus"]
        }
        if found
        else {}
    )


def content(layout: Layout, path: str) -> Content:
    """Return what stands below a directory."""
    found = _ask(layout, path, "GETCONTENTSUMMARY")
    return (
        Content(found["ContentSummary"]["fileCount"], found["ContentSummary"]["length"])
        if found
        else Content(0, 0)
    )


def _ask(layout: Layout, path: str, operation: str) -> dict[str, Any]:
    try:
        with _OPENER.open(
            f"http://{LOOPBACK}:{layout.ports['namenode_http']}/webhdfs/v1{path}?op={operation}",
            timeout=TIMEOUT_SECONDS,
        ) as answer:
            return json.load(answer)
    except HTTPError as error:
        if error.code == 404:
            return {}
        raise
