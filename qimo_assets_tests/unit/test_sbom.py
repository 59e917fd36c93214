"""The bill of materials names what the locks name, each once."""

from __future__ import annotations

import json
import re
import sysconfig
from importlib.metadata import distributions

from click.testing import CliRunner

from qimo_assets import cli
from qimo_assets.stack.jars import locked
from qimo_assets.stack.sbom import PYTHON_LOCK, bill_of_materials


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_locked_jar_and_package_is_in_the_bill_once() -> None:
    bill = bill_of_materials()
    purls = [component["purl"] for component in bill["components"]]
    assert len(purls) == len(set(purls))
    jars = {
        (f"{item['group']}:{item['name']}:{item['version']}", item["hashes"][0]["content"])
        for item in bill["components"]
        if "group" in item
    }
    assert jars == {(jar.coordinates, jar.sha256) for jar in locked()}
    packages = {
        f"{item['name']}=={item['version']}"
        for item in bill["components"]
        if item["purl"].startswith("pkg:pypi/")
    }
    assert packages == {
        re.sub(r"\[.*\]", "", line.split()[0])
        for line in PYTHON_LOCK.read_text().splitlines()
        if re.match(r"[a-zA-Z0-9]", line)
    }


def test_every_installed_package_is_in_the_bill() -> None:
    billed = {(normal(item["name"]), item["version"]) for item in bill_of_materials()["components"]}
    # Not the whole path: setuptools, once imported, adds the packages inside it.
    environment = distributions(path=[sysconfig.get_path("purelib")])
    installed = {(normal(item.name), item.version) for item in environment} - billed
    # pip and setuptools come with the environment itself.
    assert {name for name, _ in installed} <= {"pip", "setuptools"}


def test_the_command_prints_what_cyclonedx_asks_for_and_the_same_each_time() -> None:
    first, second = (CliRunner().invoke(cli.cli, ["sbom"]).output for _ in range(2))
    assert first == second
    bill = json.loads(first)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        bill["serialNumber"],
    )
    references = {component["bom-ref"] for component in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == references
    assert all(
        {"type", "name", "version", "purl"} <= set(component) for component in bill["components"]
    )
