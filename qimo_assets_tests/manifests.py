"""What stands in deploy/, as the tests read it: the objects of the manifests, and what a container
finds in its files and its environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qimo_assets.settings import PROJECT_ROOT

CONTAINERFILE = PROJECT_ROOT / "deploy" / "Containerfile"
KUBERNETES = PROJECT_ROOT / "deploy" / "kubernetes"
# What a container sees below these stands in a test's own directory.
PLACES = ("/etc/qimo", "/var/lib/qimo", "/var/log/qimo")

Object = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """A container and the pod in which it is."""

    of: str
    pod: Object
    spec: Object

    @property
    def role(self) -> str:
        """What it is."""
        return self.spec["args"][0]

    def option(self, name: str) -> str:
        """Return the value of an option among its arguments."""
        return self.spec["args"][self.spec["args"].index(name) + 1]

    def volumes(self) -> Iterator[tuple[Object, Object]]:
        """Give each mount with its volume."""
        sources = {volume["name"]: volume for volume in self.pod["volumes"]}
        for mount in self.spec["volumeMounts"]:
            yield mount, sources[mount["name"]]

    def lay_out(self, root: Path, secrets: Mapping[str, str]) -> dict[str, str]:
        """Put the files that are mounted into this container below `root`, and return the variables
        with which it runs there.
        """
        for mount, volume in self.volumes():
            target = root / mount["mountPath"].lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            for name in (
                kustomization()["configMapGenerator"][0]["files"] if "configMap" in volume else []
            ):
                (target / name).write_text(below(root, (KUBERNETES / name).read_text()))
            for item in volume["secret"]["items"] if "secret" in volume else []:
                (target / item["path"]).write_text(secrets[item["key"]])
        given = {item["name"]: value_of(item, secrets) for item in self.spec.get("env", [])}
        return {name: below(root, value) for name, value in {**image_variables(), **given}.items()}


def kustomization() -> Object:
    """Return the kustomization."""
    return yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())


def objects() -> list[Object]:
    """Return each object that the kustomization names, as it stands in its file."""
    return [
        item
        for name in kustomization()["resources"]
        for item in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


def containers() -> list[Container]:
    """Return each container of the objects."""
    found = [
        (item["metadata"]["name"], item["spec"]["template"]["spec"])
        for item in objects()
        if "template" in item["spec"]
    ]
    return [
        Container(name, pod, spec)
        for name, pod in found
        for spec in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def container(role: str) -> Container:
    """Return the container of a role."""
    [found] = [item for item in containers() if item.role == role]
    return found


def instructions(name: str) -> list[str]:
    """Return what stands behind an instruction of the Containerfile, wherever it is in it, each on
    one line.
    """
    lines = re.sub(r"\\\n\s*", "", CONTAINERFILE.read_text()).splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def image_variables() -> dict[str, str]:
    """Return the platform's own variables of the image."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(instructions("ENV")[-1]))
    return {name: value for name, value in pairs.items() if name.startswith(("QIMO_", "DAGSTER_"))}


def value_of(variable: Object, secrets: Mapping[str, str]) -> str:
    """Return the value of a variable; what only a cluster knows is told by its own name."""
    source = variable.get("valueFrom", {})
    return (
        secrets[source["secretKeyRef"]["key"]]
        if "secretKeyRef" in source
        else variable.get("value", str(source.get("fieldRef")))
    )


def below(root: Path, text: str) -> str:
    """Return a text in which the container's places are in a test's own directory."""
    return re.sub("|".join(PLACES), lambda place: f"{root}{place[0]}", text)
