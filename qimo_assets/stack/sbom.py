"""What the platform is made of, as a software bill of materials in CycloneDX's JSON, from the two
locks alone.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any
from urllib.parse import quote

import qimo_assets
from qimo_assets.stack.jars import LOCK_FILE, locked
from qimo_assets.stack.layout import project_file

PYTHON_LOCK = project_file("requirements.lock")
# `name[extra]==version ; marker \`, as uv writes it; the marker says on which machines the package
# is installed.
_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]*[^\s\\]))?",
    re.MULTILINE,
)


def bill_of_materials() -> dict[str, Any]:
    """Return the bill; the same locks give the same one."""
    components = sorted([*_python_packages(), *_jars()], key=lambda component: component["bom-ref"])
    digest = hashlib.sha256(PYTHON_LOCK.read_bytes() + LOCK_FILE.read_bytes()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, digest).urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "qimo-assets",
                "name": "qimo-assets",
                "version": qimo_assets.__version__,
            }
        },
        "components": components,
        "dependencies": [
            {"ref": "qimo-assets", "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }


def _python_packages() -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for match in _REQUIREMENT.finditer(PYTHON_LOCK.read_text()):
        name, version, marker = match["name"], match["version"], match["marker"]
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}"
        found[purl] = {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
        }
        if marker:
            found[purl]["properties"] = [{"name": "qimo:marker", "value": marker}]
    return list(found.values())


def _jars() -> list[dict[str, Any]]:
    """Return each jar once; it may stand in the class paths of several programs."""
    groups: dict[tuple[str, str], list[str]] = {}
    for jar in locked():
        groups.setdefault((jar.coordinates, jar.sha256), []).append(jar.group)
    return [_jar(coordinates, sha256, found) for (coordinates, sha256), found in groups.items()]


def _jar(coordinates: str, sha256: str, groups: list[str]) -> dict[str, Any]:
    group, name, version = coordinates.split(":")
    purl = f"pkg:maven/{quote(group)}/{quote(name)}@{quote(version)}"
    return {
        "type": "library",
        "bom-ref": purl,
        "group": group,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "properties": [{"name": "qimo:class-path", "value": ", ".join(sorted(groups))}],
    }
