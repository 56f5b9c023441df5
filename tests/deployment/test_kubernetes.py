"""The manifests conform to the schemas of Kubernetes, and are consistent. Needs no cluster."""

import difflib
import re
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.conf import settings
from kubernetes_validate import utils
from packaging.version import Version

from limits.domain import webhook_addresses
from ratelimit_platform import web as web_process

BASE_DIR = Path(__file__).resolve().parents[2]
FOLDER = BASE_DIR / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8"))

OLDEST = "1.30"
"""The first version that supports everything in the manifests (``sleep`` in ``preStop``), as in docs/kubernetes.md."""

VERSIONS = [version for version in map(utils.major_minor, utils.all_versions()) if Version(version) >= Version(OLDEST)]

OURS = ("web", "gateway", "worker", "beat", "migrate")
"""Components that run the platform's image."""


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def resources(folder: str) -> list[Path]:
    """The manifests that a kustomization lists, without those of other folders."""
    (kustomization,) = documents(FOLDER / folder / "kustomization.yaml")
    return [FOLDER / folder / name for name in kustomization["resources"] if name.endswith(".yaml")]


MANIFESTS = [
    pytest.param(document, id=f"{document['kind']}-{document['metadata']['name']}")
    for folder in ("base", "example")
    for file in resources(folder)
    for document in documents(file)
]
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    (parameter.values[0]["kind"], parameter.values[0]["metadata"]["name"]): parameter.values[0]  # type: ignore[index]
    for parameter in MANIFESTS
}
PODS = {name: each["spec"]["template"] for (kind, name), each in OBJECTS.items() if kind in ("Deployment", "Job")}


def container_of(name: str) -> dict[str, Any]:
    (container,) = PODS[name]["spec"]["containers"]
    return container  # type: ignore[no-any-return]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_conforms_to_the_schemas(manifest: dict[str, Any]) -> None:
    assert [kubernetes_validate.validate(manifest, version, strict=True) for version in VERSIONS] == VERSIONS
    assert VERSIONS[0] == OLDEST


def test_unknown_fields_are_rejected_at_any_depth() -> None:
    deployment = yaml.safe_load(yaml.safe_dump(OBJECTS["Deployment", "web"]))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["timeout"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="'timeout' was unexpected"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", ["base", "example"])
def test_listed_and_existing_files_are_the_same(folder: str) -> None:
    (kustomization,) = documents(FOLDER / folder / "kustomization.yaml")
    generators = [*kustomization["configMapGenerator"], *kustomization.get("secretGenerator", [])]
    listed = {name for each in generators for name in (*each.get("envs", []), *each.get("files", []))}
    listed |= {"kustomization.yaml", *(file.name for file in resources(folder))}
    there = {file.name.removesuffix(".example") for file in (FOLDER / folder).iterdir()}
    assert there == listed


def test_all_components_exist() -> None:
    assert set(PODS) == {*OURS, "proxy"}
    assert {name for kind, name in OBJECTS if kind == "Service"} == {"web", "gateway", "proxy"}
    assert {name for kind, name in OBJECTS if kind == "PodDisruptionBudget"} == {"web", "gateway", "proxy"}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_minimal_privileges(name: str) -> None:
    """The level “restricted” of the Pod Security Standards, and more."""
    pod, container = PODS[name]["spec"], container_of(name)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all({"emptyDir", "configMap"} & set(volume) for volume in pod["volumes"])


def test_the_namespace_enforces_restricted_pods() -> None:
    labels = OBJECTS["Namespace", "rate-limits"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_declares_resources_and_volumes(name: str) -> None:
    container, volumes = container_of(name), PODS[name]["spec"]["volumes"]
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in volumes}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in volumes if "emptyDir" in volume)


@pytest.mark.parametrize("name", OURS)
def test_pods_run_as_the_user_of_the_image(name: str) -> None:
    (uid,) = re.findall(r"useradd .*--uid (\d+)", (BASE_DIR / "Dockerfile").read_text(encoding="utf-8"))
    assert PODS[name]["spec"]["securityContext"]["runAsUser"] == int(uid)
    assert container_of(name)["image"] == COMPOSE["x-platform"]["image"]


@pytest.mark.parametrize("name", OURS)
def test_a_container_has_the_command_of_the_compose_file(name: str) -> None:
    assert container_of(name).get("command") == COMPOSE["services"][name].get("command")
    assert container_of(name)["envFrom"] == [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "secrets"}}]


def test_the_proxy_has_the_image_of_the_compose_file() -> None:
    assert container_of("proxy")["image"] == COMPOSE["services"]["proxy"]["image"]


@pytest.mark.parametrize("name", PODS)
def test_selectors_match_the_pods_of_their_component(name: str) -> None:
    labels = PODS[name]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/part-of": "rate-limits", "app.kubernetes.io/component": name}
    for (kind, other), each in OBJECTS.items():
        if other == name and kind in ("Deployment", "PodDisruptionBudget"):
            assert each["spec"]["selector"]["matchLabels"] == labels
        if other == name and kind == "Service":
            assert each["spec"]["selector"] == labels
    for spread in PODS[name]["spec"].get("topologySpreadConstraints", []):
        assert spread["labelSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_objects_are_labelled_with_their_component(manifest: dict[str, Any]) -> None:
    labels = manifest["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "rate-limits"
    assert labels["app.kubernetes.io/component"] in {*PODS, "settings"}


@pytest.mark.parametrize("name", ["web", "gateway"])
def test_it_is_scaled_only_by_its_autoscaler_and_stays_available(name: str) -> None:
    deployment, autoscaler = OBJECTS["Deployment", name]["spec"], OBJECTS["HorizontalPodAutoscaler", name]["spec"]
    assert "replicas" not in deployment
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert autoscaler["minReplicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert OBJECTS["PodDisruptionBudget", name]["spec"]["maxUnavailable"] == 1


def test_there_is_only_one_beat() -> None:
    beat = OBJECTS["Deployment", "beat"]["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


def seconds_before_the_end(name: str) -> int:
    """Seconds of the grace period that remain after the ``preStop`` hook."""
    before: int = container_of(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace: int = PODS[name]["spec"]["terminationGracePeriodSeconds"]
    return grace - before


def test_a_pod_has_enough_time_to_shut_down() -> None:
    assert seconds_before_the_end("web") > web_process.server().workers_kill_timeout
    assert seconds_before_the_end("worker") > settings.CELERY_TASK_TIME_LIMIT
    for name in ("web", "proxy"):  # until all proxies know that it ends
        assert container_of(name)["lifecycle"]["preStop"]["sleep"]["seconds"] >= 10


def test_liveness_probes_do_not_depend_on_other_services() -> None:
    web = container_of("web")
    ports = {port["name"]: port["containerPort"] for port in web["ports"]}
    assert ports == {"http": 8000}
    assert {web[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {"http"}
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert web["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert all("livenessProbe" in container_of(name) for name in ("proxy", "worker", "beat"))


def policy(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = OBJECTS["NetworkPolicy", name]["spec"]
    return spec


def chosen(selector: dict[str, Any]) -> set[str]:
    """The components whose pods a selector matches."""
    return {name for name, pod in PODS.items() if _fits(selector, pod["metadata"]["labels"])}


def _fits(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_all_other_traffic_is_denied_for_every_pod() -> None:
    nothing = policy("nothing-else")
    assert chosen(nothing["podSelector"]) == set(PODS)
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(nothing)


def test_only_the_ingress_can_reach_the_proxy_and_only_the_proxy_can_reach_web() -> None:
    """Except for access to metrics."""
    (to_proxy,), (to_web,) = policy("proxy")["ingress"], policy("web")["ingress"]
    assert to_proxy["from"] == [{"namespaceSelector": {"matchLabels": {"rate-limits/ingress": "true"}}}]
    pods, metrics = to_web["from"]
    assert (chosen(pods["podSelector"]), set(pods)) == ({"proxy"}, {"podSelector"})
    assert metrics == {"namespaceSelector": {"matchLabels": {"rate-limits/metrics": "true"}}}
    assert [port["port"] for port in (*to_proxy["ports"], *to_web["ports"])] == [8080, 8000]


def test_the_gateway_is_reached_by_the_proxy_and_by_proxies_of_other_sites() -> None:
    inside, outside = policy("gateway")["ingress"]
    pods, metrics = inside["from"]
    assert chosen(pods["podSelector"]) == {"proxy"}
    assert metrics == {"namespaceSelector": {"matchLabels": {"rate-limits/metrics": "true"}}}
    assert outside["from"] == [{"namespaceSelector": {"matchLabels": {"rate-limits/gateway": "true"}}}]
    assert [[port["port"] for port in each["ports"]] for each in (inside, outside)] == [[8081], [8081, 8082]]


def test_only_the_platform_can_reach_the_stores() -> None:
    assert chosen(policy("stores")["podSelector"]) == set(OURS)
    (to_stores,) = policy("only-the-platform")["ingress"]
    platform, stores = to_stores["from"]
    assert chosen(platform["podSelector"]) == set(OURS)
    assert stores["podSelector"] == policy("only-the-platform")["podSelector"]


def test_the_documented_policy_for_stores_in_another_namespace_is_equivalent() -> None:
    text = (BASE_DIR / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```yaml\n(apiVersion: .*?)```", text, re.DOTALL)
    elsewhere = yaml.safe_load(snippet)
    kubernetes_validate.validate(elsewhere, VERSIONS[-1], strict=True)
    platform, stores = elsewhere["spec"]["ingress"][0].pop("from")
    namespace = platform["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert ("Namespace", namespace) in OBJECTS
    assert chosen(platform["podSelector"]) == set(OURS)
    assert elsewhere["spec"]["podSelector"] == stores["podSelector"] == policy("only-the-platform")["podSelector"]


def test_webhooks_can_reach_the_addresses_that_the_platform_considers_public() -> None:
    mails = policy("mails-and-webhooks")
    assert chosen(mails["podSelector"]) == {"web", "worker"}
    blocks = [each["ipBlock"] for rule in mails["egress"] for each in rule.get("to", [])]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", str(webhook_addresses._GLOBAL_UNICAST)]
    refused = {ip_network(text) for block in blocks for text in block["except"]}
    assert refused == set(webhook_addresses._NOT_PUBLIC)


def references(value: Any) -> Iterator[tuple[str, str]]:
    """All references to a ConfigMap or Secret in a manifest."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in ("configMapRef", "configMap", "secretRef"):
            yield str(key), inner["name"]
        yield from references(inner)


def test_referenced_config_maps_and_secrets_are_generated() -> None:
    named = {each for pod in PODS.values() for each in references(pod)}
    assert named == {("configMapRef", "settings"), ("configMap", "nginx"), ("secretRef", "secrets")}
    (base,), (example,) = (documents(FOLDER / folder / "kustomization.yaml") for folder in ("base", "example"))
    assert {each["name"] for each in base["configMapGenerator"]} == {"settings", "nginx"}
    assert {each["name"] for each in example["secretGenerator"]} == {"secrets"}


def test_no_secret_is_in_the_repository() -> None:
    example = (FOLDER / "example" / "secrets.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^[A-Z_]+=(.*)$", example, re.MULTILINE)) == {""}
    command = ["git", "check-ignore", "--quiet", "kubernetes/example/secrets.env"]
    assert subprocess.run(command, cwd=BASE_DIR, check=False).returncode == 0


def test_the_ingress_routes_to_the_proxy() -> None:
    (rule,) = OBJECTS["Ingress", "platform"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"] == {"service": {"name": "proxy", "port": {"name": "http"}}}


def without_comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]


def test_the_proxys_configuration_differs_from_that_of_the_containers_in_five_lines() -> None:
    ours, theirs = (
        without_comments(file.read_text(encoding="utf-8"))
        for file in (FOLDER / "base" / "nginx.conf", BASE_DIR / "containers" / "nginx.conf")
    )
    assert [line[2:] for line in difflib.ndiff(theirs, ours) if line.startswith("+")] == [
        "resolver NAMESERVER valid=2s ipv6=off;",
        "server web.DOMAIN:8000 resolve max_fails=1 fail_timeout=2s;",
        "server gateway.DOMAIN:8081 resolve max_fails=1 fail_timeout=2s;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;",
    ]


def test_the_proxy_uses_name_server_and_domain_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "search rate-limits.svc.example.internal svc.example.internal example.internal\n"
        "nameserver 10.96.0.10\noptions ndots:5\n"
    )
    container = container_of("proxy")
    (script,) = container["args"]
    assert script.rstrip().endswith('exec nginx -c /tmp/nginx.conf -g "daemon off;"')
    script = script.partition("exec nginx")[0].replace("/etc/resolv.conf", str(tmp_path / "resolv.conf"))
    script = script.replace("/etc/nginx/nginx.conf", str(FOLDER / "base" / "nginx.conf"))
    script = script.replace("/tmp/nginx.conf", str(tmp_path / "nginx.conf"))
    subprocess.run([*container["command"], script], check=True)
    made = without_comments((tmp_path / "nginx.conf").read_text(encoding="utf-8"))
    assert "resolver 10.96.0.10 valid=2s ipv6=off;" in made
    assert "server web.rate-limits.svc.example.internal:8000 resolve max_fails=1 fail_timeout=2s;" in made
