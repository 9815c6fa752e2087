"""The Helm chart, linted and rendered by Helm: its file means what it should, and its pod has few rights."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import config_file
from tests.packaging import helm

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "regate"
KUBERNETES = ("--kube-version", "1.31.0")
CLUSTER: dict[str, Any] = {"cluster": {"publicAddr": ["gate.example.com:443", "gate:443"]}}
AGENT: dict[str, Any] = {
    "mode": "agent",
    "agent": {"proxyServer": "gate.example.com", "tokenSecret": "join", "caPin": "sha256:" + "ab" * 32},
    "databases": [{"name": "pg", "protocol": "postgres", "uri": "pg:5432", "static_labels": {"env": "dev"}}],
}

pytestmark = pytest.mark.timeout(900)  # the first time Helm is built


@pytest.fixture(scope="module")
def program() -> Path:
    return helm.ensure()


def run(
    program: Path, folder: Path, verb: tuple[str, ...], values: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(dict(values)))
    return subprocess.run(
        [program, *verb, CHART, "-f", file, *KUBERNETES],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )


def rendered(program: Path, folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The objects by kind; there is one of each."""
    done = run(program, folder, ("template", "prod"), values)
    assert done.returncode == 0, done.stderr
    found = [item for item in yaml.safe_load_all(done.stdout) if item]
    by_kind = {item["kind"]: item for item in found}
    assert len(by_kind) == len(found)
    return by_kind


@pytest.mark.parametrize("values", [CLUSTER, AGENT], ids=["cluster", "agent"])
def test_lint_finds_nothing(program: Path, tmp_path: Path, values: Mapping[str, Any]) -> None:
    done = run(program, tmp_path, ("lint", "--strict"), values)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


@pytest.mark.parametrize("values", [CLUSTER, AGENT], ids=["cluster", "agent"])
def test_the_file_in_it_loads(program: Path, tmp_path: Path, values: Mapping[str, Any]) -> None:
    objects = rendered(program, tmp_path, values)
    read = config_file.parse(objects["ConfigMap"]["data"]["regate.yaml"], Path("/etc/regate/regate.yaml"))
    assert str(read.diagnostics) == "127.0.0.1:3000"
    assert read.data_dir == Path("/var/lib/regate/data")
    if values is CLUSTER:
        assert read.services == ("auth", "proxy", "db")
        assert [str(item) for item in read.proxy_service.public] == CLUSTER["cluster"]["publicAddr"]
    else:
        assert read.services == ("db",)
        assert read.join is not None
        assert (str(read.join.server), read.join.ca_pin) == ("gate.example.com:443", AGENT["agent"]["caPin"])
        assert read.join.token_file == Path("/etc/regate/join/token")
        assert [database.name for database in read.db_service.databases] == ["pg"]


def test_further_sections_go_into_the_file_and_cannot_change_the_others(
    program: Path, tmp_path: Path
) -> None:
    objects = rendered(
        program, tmp_path, {**CLUSTER, "extraConfig": {"audit": {"dir": "/var/lib/regate/log"}}}
    )
    read = config_file.parse(objects["ConfigMap"]["data"]["regate.yaml"], Path("/etc/regate/regate.yaml"))
    assert read.audit_dir == Path("/var/lib/regate/log")
    refused = run(program, tmp_path, ("template", "x"), {**CLUSTER, "extraConfig": {"regate": {}}})
    assert refused.returncode != 0


@pytest.mark.parametrize("values", [CLUSTER, AGENT], ids=["cluster", "agent"])
def test_the_pod_has_few_rights(program: Path, tmp_path: Path, values: Mapping[str, Any]) -> None:
    objects = rendered(program, tmp_path, values)
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all("hostPath" not in volume for volume in pod["volumes"])
    assert {"Role", "ClusterRole", "RoleBinding", "Secret"} & set(objects) == set()


@pytest.mark.parametrize(
    "values",
    [CLUSTER, AGENT, {"cluster": {**CLUSTER["cluster"], "webCertificateSecret": "web"}}],
    ids=["cluster", "agent", "web"],
)
def test_what_is_mounted_is_there(program: Path, tmp_path: Path, values: Mapping[str, Any]) -> None:
    objects = rendered(program, tmp_path, values)
    spec = objects["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
    (named,) = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
    assert named == objects["ConfigMap"]["metadata"]["name"]
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    assert spec["serviceName"] == objects["Service"]["metadata"]["name"]
    selected = objects["Service"]["spec"]["selector"].items()
    assert selected <= spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() == selected


def test_a_web_certificate_is_a_secret_that_the_file_names(program: Path, tmp_path: Path) -> None:
    objects = rendered(program, tmp_path, {"cluster": {**CLUSTER["cluster"], "webCertificateSecret": "web"}})
    file = yaml.safe_load(objects["ConfigMap"]["data"]["regate.yaml"])
    (pair,) = file["proxy_service"]["https_keypairs"]
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    (mount,) = [item for item in pod["containers"][0]["volumeMounts"] if item["name"] == "web"]
    assert {Path(path).parent for path in pair.values()} == {Path(mount["mountPath"])}


def test_an_agent_is_never_dialled(program: Path, tmp_path: Path) -> None:
    objects = rendered(program, tmp_path, AGENT)
    assert objects["NetworkPolicy"]["spec"]["ingress"] == []
    assert objects["Service"]["spec"]["clusterIP"] == "None"
    assert "ports" not in objects["Service"]["spec"]
    (container,) = objects["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert "ports" not in container


def test_a_changed_file_starts_the_pod_again(program: Path, tmp_path: Path) -> None:
    def stamp(values: Mapping[str, Any]) -> str:
        template = rendered(program, tmp_path, values)["StatefulSet"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert stamp(AGENT) != stamp({**AGENT, "databases": []})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "cluster.publicAddr: how do clients reach the proxy?"),
    ({"mode": "agent"}, "agent.proxyServer: which proxy does the agent dial?"),
    ({**CLUSTER, "mode": "both"}, "mode"),
    ({**CLUSTER, "replicas": 3}, "replicas"),
    ({**AGENT, "agent": {**AGENT["agent"], "caPin": "sha256:1"}}, "caPin"),
    ({**AGENT, "agent": {**AGENT["agent"], "token": "secret"}}, "token"),
    ({**CLUSTER, "image": {"digest": "latest"}}, "digest"),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_values_that_make_no_sense_are_refused(
    program: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    done = run(program, tmp_path, ("template", "x"), values)
    assert done.returncode != 0
    assert said in done.stderr
