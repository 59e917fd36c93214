"""The image and the manifests of deploy/, as far as they can be checked without an engine and a
cluster: by their own rules, and against each other.

That the roles run stands in contract/test_container.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from qimo_assets import __version__
from qimo_assets.container import SETUP, commands
from qimo_assets.doctor import secrets_of
from qimo_assets.instance.launcher import LocalRunLauncher
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT, Settings, load_settings
from qimo_assets.stack.layout import current_layout
from qimo_assets.stack.profiles import USUAL_PORTS
from qimo_assets_tests.manifests import (
    CONTAINERFILE,
    KUBERNETES,
    Container,
    Object,
    container,
    containers,
    image_variables,
    instructions,
    kustomization,
    objects,
)

IGNORE = PROJECT_ROOT / ".containerignore"
PAGE = PROJECT_ROOT / "docs" / "kubernetes.md"
IMAGE, NAME = "qimo-assets", "qimo"
# The schemas of two years of Kubernetes, the oldest and the newest.
VERSIONS = ("1.31", "1.37")
WORKLOADS = [item for item in objects() if "template" in item["spec"]]
ALL_PASSWORDS = {"kafka.password", "publisher.password", "reader.password", "report.password"}
# Role -> the passwords that it reads, by their files; a role that is not here reads no settings.
PASSWORDS = {
    SETUP: ALL_PASSWORDS,
    "code": ALL_PASSWORDS,
    "report": {"report.password"},
    "qimo": {"kafka.password"},
}


def named(item: Object) -> str:
    return f"{item['kind']} {item['metadata']['name']}"


def role_of(item: Container) -> str:
    return item.role


def labels(workload: Object) -> Object:
    return workload["spec"]["template"]["metadata"]["labels"]


def listening(selector: Object) -> dict[str, int]:
    """Return name -> number of the ports that the pods with these labels declare; there are such
    pods.
    """
    pods = [
        item["spec"]["template"]["spec"]
        for item in WORKLOADS
        if selector.items() <= labels(item).items()
    ]
    assert pods, selector
    return {
        port["name"]: port["containerPort"]
        for pod in pods
        for spec in pod["containers"]
        for port in spec.get("ports", [])
    }


def settings_of(item: Container, root: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings as a container reads them; each file of the Secret holds its own name."""
    for name, value in item.lay_out(root, {name: name for name in told_secrets()}).items():
        monkeypatch.setenv(name, value)
    # The entry point itself tells it.
    monkeypatch.setenv("QIMO_LAKE__IP2REGION_JAR", "/none")
    load_settings.cache_clear()
    return load_settings()


def told_secrets() -> list[str]:
    """Return the files of the Secret that the page tells to make."""
    return re.findall(
        r"^\| `([\w.]+)` \|", PAGE.read_text().partition("| file | holds |")[2], re.MULTILINE
    )


# --- the image


def test_the_linter_has_nothing_to_say_of_the_containerfile() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", CONTAINERFILE],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    copied = {
        path.split("/")[0]
        for line in instructions("COPY")
        if not line.startswith("--from=")
        for path in line.split()[:-1]
    }
    assert {
        line.removeprefix("!") for line in IGNORE.read_text().splitlines() if line.startswith("!")
    } == copied
    assert all((PROJECT_ROOT / name).exists() for name in copied)
    assert (PROJECT_ROOT / ".dockerignore").resolve() == IGNORE


def test_packages_are_checked_by_their_hashes_and_installed_from_what_was_checked() -> None:
    runs = " ".join(instructions("RUN"))
    assert re.findall(r"pip (\w+) [^&]*(--require-hashes|--no-index)", runs) == [
        ("wheel", "--require-hashes"),
        ("install", "--no-index"),
    ]


def test_the_agents_log_configuration_needs_no_rendering() -> None:
    [copied] = [line.split()[0] for line in instructions("COPY") if "log4j2" in line]
    assert "{{" not in (PROJECT_ROOT / copied).read_text()


# --- each manifest


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("item", objects(), ids=named)
def test_each_object_fits_kubernetes_schema(item: Object, version: str) -> None:
    kubernetes_validate.validate(item, version, strict=True)


def test_the_kustomization_renders_the_objects_with_the_projects_version() -> None:
    kubectl = shutil.which("kubectl") or pytest.skip("this machine has no kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", KUBERNETES], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rendered = [item for item in yaml.safe_load_all(done.stdout) if item["kind"] != "ConfigMap"]
    assert sorted(map(named, rendered)) == sorted(map(named, objects()))
    assert set(re.findall(r"image: (.+)", done.stdout)) == {f"{IMAGE}:{__version__}"}


@pytest.mark.parametrize("item", containers(), ids=role_of)
def test_a_container_may_do_no_more_than_it_needs(item: Container) -> None:
    user = int(instructions("USER")[-1].split(":")[0])
    assert {
        "runAsNonRoot": True,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items() <= item.pod["securityContext"].items()
    closed = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert item.spec["securityContext"] == closed
    assert item.pod["automountServiceAccountToken"] is False
    assert {"memory"} == set(item.spec["resources"]["limits"])


# --- the manifests against image, settings and each other


def test_each_container_is_a_role_of_the_image_and_each_role_is_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QIMO_JAVA", "bundled")
    assert {item.spec["image"] for item in containers()} == {IMAGE}
    assert sorted(item.role for item in containers()) == sorted(
        [*commands(current_layout()), SETUP]
    )


@pytest.mark.parametrize("item", containers(), ids=role_of)
def test_what_is_mounted_is_there(item: Container) -> None:
    names = {
        "configMap": [("name", NAME)],
        "secret": [("secretName", NAME)],
        "persistentVolumeClaim": [("claimName", "qimo-report")],
    }
    for _, volume in item.volumes():
        for kind, expected in names.items():
            assert volume.get(kind, dict(expected)).items() >= dict(expected).items()
    assert [source["name"] for source in kustomization()["configMapGenerator"]] == [NAME]
    assert "PersistentVolumeClaim qimo-report" in map(named, objects())
    assert "/tmp" in {
        mount["mountPath"] for mount, _ in item.volumes() if not mount.get("readOnly")
    }


def test_the_page_tells_to_make_the_files_of_the_secret() -> None:
    used = {
        item["key"]
        for each in containers()
        for _, volume in each.volumes()
        for item in volume.get("secret", {}).get("items", [])
    }
    used |= {
        item["valueFrom"]["secretKeyRef"]["key"]
        for each in containers()
        for item in each.spec.get("env", [])
        if "secretKeyRef" in str(item)
    }
    assert sorted(told_secrets()) == sorted(used)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("role", PASSWORDS)
def test_a_container_has_the_settings_that_it_needs_and_no_other_password(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secrets_of(settings_of(container(role), tmp_path, monkeypatch)) == PASSWORDS[role]


@pytest.mark.parametrize("item", containers(), ids=role_of)
def test_a_container_gets_no_secret_that_it_does_not_read(item: Container) -> None:
    got = {
        key["key"]
        for _, volume in item.volumes()
        for key in volume.get("secret", {}).get("items", [])
    }
    assert {key for key in got if key.endswith(".password")} == PASSWORDS.get(item.role, set())


@pytest.mark.usefixtures("home")
def test_ports_and_addresses_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, web = container("code"), container("webserver")
    settings = settings_of(code, tmp_path, monkeypatch)
    [server] = [
        item["grpc_server"]
        for item in yaml.safe_load((KUBERNETES / "workspace.yaml").read_text())["load_from"]
    ]
    assert (
        (server["host"], server["port"])
        == (code.option("-h"), int(code.option("-p")))
        == (LOOPBACK, USUAL_PORTS["dagster_code"])
    )
    for probe in ("startupProbe", "livenessProbe"):
        assert code.spec[probe]["exec"]["command"][-4:] == code.spec["args"][-4:]
    assert settings.dagster.webserver == f"http://{LOOPBACK}:{web.option('-p')}"
    # What a Service leads to listens on the pod's own address.
    assert (
        settings_of(container("report"), tmp_path, monkeypatch).report.host
        == web.option("-h")
        == "0.0.0.0"
    )
    services = {
        item["metadata"]["name"]: item["spec"] for item in objects() if item["kind"] == "Service"
    }
    assert (
        int(web.option("-p"))
        == USUAL_PORTS["dagster"]
        == services["qimo-server"]["ports"][0]["port"]
    )
    assert (
        settings.report.port
        == USUAL_PORTS["report"]
        == services[settings.report.host]["ports"][0]["port"]
    )
    for service in services.values():
        [port] = service["ports"]
        assert listening(service["selector"])[port["targetPort"]] == port["port"]


def test_whatever_names_pods_or_ports_names_such_as_there_are() -> None:
    for workload in WORKLOADS:
        assert workload["spec"]["selector"] == {"matchLabels": labels(workload)}
    for item in containers():
        ports = {port["name"] for port in item.spec.get("ports", [])}
        probes = [
            item.spec[name]
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
            if name in item.spec
        ]
        assert {
            probe[how]["port"]
            for probe in probes
            for how in ("httpGet", "tcpSocket")
            if how in probe
        } <= ports
    for policy in [item["spec"] for item in objects() if item["kind"] == "NetworkPolicy"]:
        ports = listening(policy["podSelector"]["matchLabels"])
        assert {
            port["port"] for rule in policy.get("ingress", []) for port in rule["ports"]
        } <= set(ports)


def test_nobody_reaches_a_pod_but_by_a_policy_that_names_who_and_where() -> None:
    policies = [item["spec"] for item in objects() if item["kind"] == "NetworkPolicy"]
    closed = [
        policy["podSelector"]["matchLabels"]
        for policy in policies
        if policy["policyTypes"] == ["Ingress"] and "ingress" not in policy
    ]
    for workload in WORKLOADS:
        assert any(selector.items() <= labels(workload).items() for selector in closed)
    rules = [rule for policy in policies for rule in policy.get("ingress", [])]
    assert rules
    assert all(
        rule["ports"] and rule["from"] and all("podSelector" in peer for peer in rule["from"])
        for rule in rules
    )


# --- what the processes ask of each other


def test_who_looks_for_the_process_of_a_run_can_see_it() -> None:
    launcher = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["run_launcher"]["class"]
    assert launcher == LocalRunLauncher.__name__
    [together] = {container(role).of for role in ("code", "webserver", "daemon")}
    [server] = [item["spec"] for item in WORKLOADS if item["metadata"]["name"] == together]
    assert server["template"]["spec"]["shareProcessNamespace"] is True
    # Two of them would be two pods again, and two writers.
    assert (server["replicas"], server["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("role", ["webserver", "daemon"])
def test_the_workspace_is_where_a_process_looks_for_it(role: str, tmp_path: Path) -> None:
    container(role).lay_out(tmp_path, dict.fromkeys(told_secrets(), ""))
    assert (tmp_path / container(role).option("-w").lstrip("/")).is_file()


@pytest.mark.usefixtures("home")
def test_what_one_process_writes_another_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def volume(role: str, path: str) -> str:
        [found] = [each for mount, each in container(role).volumes() if mount["mountPath"] == path]
        return found.get("persistentVolumeClaim", {}).get("claimName", found["name"])

    logs = f"{image_variables()['DAGSTER_HOME']}/storage"
    assert len({volume(role, logs) for role in ("code", "webserver", "daemon")}) == 1
    directories = {
        str(settings_of(container(role), tmp_path, monkeypatch).report.directory).removeprefix(
            str(tmp_path)
        )
        for role in ("code", "report")
    }
    assert {volume(role, *directories) for role in ("code", "report")} == {"qimo-report"}


@pytest.mark.usefixtures("home")
def test_a_line_has_the_same_identity_after_each_start_of_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = container("qimo")
    source = settings_of(configuration, tmp_path, monkeypatch).source
    [host] = [
        item["valueFrom"]
        for item in configuration.spec["env"]
        if item["name"] == "QIMO_SOURCE__HOST"
    ]
    assert host == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    file = configuration.spec["args"][-1]
    for role in ("agent", "links"):
        assert container(role).spec["args"] == [role, file]
        [(mount, volume)] = [
            (mount, volume) for mount, volume in container(role).volumes() if "hostPath" in volume
        ]
        # A hard link crosses no mount, and the directory has to be called as on the host.
        assert volume["hostPath"]["path"] == mount["mountPath"]
        for path in (source.log_dir, source.link_dir, source.position_file):
            assert path.is_relative_to(tmp_path / mount["mountPath"].lstrip("/"))
