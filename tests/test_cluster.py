"""The files of `cluster/` are what their readers take: Ray's launcher, Kubernetes, systemd, bash, Docker."""

import json
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

import semtune
from semtune.cli import app

CLUSTER = Path(__file__).parents[1] / "cluster"
FILES = [path for path in sorted(CLUSTER.rglob("*")) if path.is_file()]
TEXTS = {path.relative_to(CLUSTER).as_posix(): path.read_text("utf-8") for path in FILES}
VERSIONS = dict(
    line.split("==") for line in (CLUSTER.parent / "constraints.txt").read_text().splitlines() if "==" in line
)
LAUNCHED = ("aws", "gcp")
RESOURCES = [
    (name, resource)
    for name, text in TEXTS.items()
    if name.startswith("kubernetes/") and name.endswith(".yaml")
    for resource in yaml.safe_load_all(text)
]
OF_KUBERAY = {
    # Fields of the specifications in KubeRay's reference of its API, v1.6; no package ships its schemas.
    "RayCluster": {
        "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions",
        "headGroupSpec", "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "upgradeStrategy",
        "workerGroupSpecs",
    },
    "RayJob": {
        "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint",
        "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata",
        "preRunningDeadlineSeconds", "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes",
        "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
    },
}  # fmt: skip

each_place = pytest.mark.parametrize("place", LAUNCHED)
each_resource = pytest.mark.parametrize(
    ("name", "resource"),
    RESOURCES,
    ids=[f"{kind['kind']}-{kind['metadata']['name']}" for _, kind in RESOURCES],
)


def tool(name):
    """A linter that a package of the development environment brings."""
    return Path(sys.executable).with_name(name)


def lint(*command, text=None):
    done = subprocess.run(
        list(map(str, command)), input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_no_python_in_cluster():
    assert not [name for name in TEXTS if name.endswith(".py")]
    assert len(FILES) > 15


@pytest.mark.parametrize("name", TEXTS)
def test_no_password_stands_in_a_file(name):
    secret = re.compile(
        r"://[^/\s:@]+:[^/\s@]+@|AKIA[0-9A-Z]{16}|(?:PASSWORD|SECRET_ACCESS_KEY|TOKEN)=[^\s,\"$]|BEGIN .*KEY"
    )
    assert not secret.search(TEXTS[name])


@pytest.mark.parametrize("place", ["workstation", "slurm", "kubernetes", *LAUNCHED])
def test_a_place_has_five_steps_and_the_way_to_take_it_down(place):
    text = TEXTS[f"{place}/README.md"]
    assert re.findall(r"^(\d)\. \*\*", text, re.MULTILINE) == list("12345")
    assert "**Taking it down.**" in text
    assert "semtune doctor" in text


def commands():
    """Each `semtune ...` of the files of cluster, with the options behind it."""
    pattern = re.compile(r"semtune((?: --?\w[\w-]* \S+)*) (\w+)((?:\\\n|[^\n'`|&;#])*)")
    known = get_command(app).commands
    for name, text in TEXTS.items():
        for found in pattern.finditer(text):
            if found[2] in known:
                yield name, found[2], set(re.findall(r"(?<= )--[a-z-]+", found[3]))


def test_every_option_of_semtune_that_a_file_gives_exists():
    program = get_command(app)
    found = list(commands())
    assert len({name for name, _, _ in found}) > 6
    for name, command, options in found:
        known = {option for each in program.commands[command].params for option in each.opts}
        assert options <= known, f"{name}: semtune {command}"


# Ray's launcher


@each_place
def test_the_launcher_takes_the_file(place):
    from ray.autoscaler._private.util import prepare_config, validate_config

    given = yaml.safe_load(TEXTS[f"{place}/cluster.yaml"])
    prepared = prepare_config(deepcopy(given))  # fills in the provider's defaults
    validate_config(prepared)
    assert prepared["head_setup_commands"] == [*given["setup_commands"], *given["head_setup_commands"]]
    most = {name: kind["max_workers"] for name, kind in prepared["available_node_types"].items()}
    assert (most, prepared["max_workers"]) == ({"head": 0, "worker": 8}, 8)


@each_place
def test_nodes_of_a_cloud_have_the_token_and_no_dashboard_and_the_head_trains_nothing(place):
    given = yaml.safe_load(TEXTS[f"{place}/cluster.yaml"])
    assert given["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0" in each for each in given["setup_commands"])
    starts = [each for kind in ("head", "worker") for each in given[f"{kind}_start_ray_commands"]]
    assert all(each.startswith(". ~/.profile && ") for each in starts)
    assert "--include-dashboard=false" in given["head_start_ray_commands"][-1]
    assert given["available_node_types"]["head"]["resources"]["CPU"] == 0
    worker = json.dumps(given["available_node_types"]["worker"]["node_config"])
    assert '"MarketType": "spot"' in worker or '"preemptible": true' in worker


@each_place
def test_shellcheck_finds_nothing_in_the_commands_of_a_cloud(place):
    given = yaml.safe_load(TEXTS[f"{place}/cluster.yaml"])
    lines = [line for name, part in given.items() if name.endswith("_commands") for line in part]
    # The profile is the node's own; $RAY_HEAD_IP comes from the launcher.
    lint(
        tool("shellcheck"),
        "--shell=bash",
        "--exclude=SC1090,SC1091,SC2016,SC2154",
        "-",
        text="\n".join(lines),
    )


# Kubernetes


def pods(resource):
    """The pod templates of a resource."""
    spec = resource.get("spec", {})
    groups = [spec.get("headGroupSpec"), *spec.get("workerGroupSpecs", ())]
    templates = [group["template"] for group in groups if group]
    return [*templates, *(spec[name] for name in ("template", "submitterPodTemplate") if name in spec)]


@each_resource
def test_a_resource_is_what_kubernetes_takes(name, resource):
    version = kubernetes_validate.latest_version()
    if resource["kind"] in OF_KUBERAY:
        assert set(resource) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(resource["spec"]) <= OF_KUBERAY[resource["kind"]]
    else:
        kubernetes_validate.validate(resource, version, strict=True)
    for pod in pods(resource):
        metadata = {"name": "pod", **pod.get("metadata", {})}
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]},
            version,
            strict=True,
        )
    assert resource["metadata"]["namespace"] == "semtune"


@each_resource
def test_a_pod_has_no_rights_that_it_does_not_need(name, resource):
    for pod in pods(resource):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        for container in pod["spec"]["containers"]:
            rights = container["securityContext"]
            assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]})
            assert container["resources"]["limits"]["memory"]
            plain = {each["name"] for each in container.get("env", ()) if "value" in each}
            assert not [each for each in plain if re.search("PASSWORD|SECRET|TOKEN", each)]


@each_resource
def test_images_of_semtune_are_of_this_version(name, resource):
    for pod in pods(resource):
        for container in pod["spec"]["containers"]:
            if "/semtune:" in container["image"]:
                assert container["image"].partition(":")[2] in (
                    semtune.__version__,
                    f"{semtune.__version__}-cpu",
                )


def test_ray_reads_the_cluster_as_it_will_for_its_autoscaler():
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    (cluster,) = [each for _, each in RESOURCES if each["kind"] == "RayCluster"]
    read = _derive_autoscaling_config_from_ray_cr(cluster)  # checks it against the launcher's schema too
    head, gpu = (read["available_node_types"][name] for name in ("headgroup", "gpu"))
    assert head["resources"]["CPU"] == 0
    assert (gpu["resources"]["GPU"], gpu["min_workers"], gpu["max_workers"]) == (1, 0, 8)
    assert cluster["spec"]["rayVersion"] == VERSIONS["ray"]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def test_every_pod_is_closed_but_to_those_that_a_policy_names():
    policies = [each for _, each in RESOURCES if each["kind"] == "NetworkPolicy"]
    (closed,) = [each["spec"] for each in policies if each["metadata"]["name"] == "nobody"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in policies:
        for rule in policy["spec"].get("ingress", ()):
            assert rule.get("from"), policy["metadata"]["name"]


def test_the_job_runs_a_script_that_shellcheck_likes():
    scripts = {
        key: text
        for _, each in RESOURCES
        if each["kind"] == "ConfigMap"
        for key, text in each["data"].items()
    }
    (job,) = [each for _, each in RESOURCES if each["kind"] == "RayJob"]
    assert job["spec"]["entrypoint"] == "sh /etc/semtune/search.sh"
    lint(tool("shellcheck"), "--exclude=SC2154", "-", text=scripts["search.sh"])
    lint("sh", "-n", text=scripts["search.sh"])


# Slurm, systemd, Docker


def test_shellcheck_finds_nothing_in_the_batch_script():
    script = CLUSTER / "slurm" / "semtune.sbatch"
    lint(tool("shellcheck"), script)
    lint("bash", "-n", script)


def test_the_batch_script_is_warned_before_its_limit_and_may_be_queued_again():
    directives = re.findall(r"^#SBATCH (\S+)", TEXTS["slurm/semtune.sbatch"], re.MULTILINE)
    assert {"--requeue", "--signal=B:USR1@180", "--open-mode=append"} <= set(directives)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_units(tmp_path):
    """Their programs are not installed here: others stand in for them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ray", "mlflow"):
        (programs / name).symlink_to(shutil.which("true"))
    units = []
    for path in CLUSTER.glob("workstation/*.service"):
        units.append(tmp_path / path.name)
        units[-1].write_text(path.read_text().replace("/opt/semtune/bin", str(programs)))
    assert len(units) == 3
    lint("systemd-analyze", "verify", "--man=no", *units)


@pytest.mark.parametrize("unit", [name for name in TEXTS if name.endswith(".service")])
def test_a_unit_runs_as_a_user_with_the_token_and_without_telemetry(unit):
    text = TEXTS[unit]
    assert "User=semtune" in text
    assert "DO_NOT_TRACK=true" in text
    assert ("RAY_AUTH_MODE=token" in text) == ("/ray start" in text)
    assert ("--host 127.0.0.1" in text) == ("mlflow server" in text)


def test_the_dockerfile_is_sound_and_its_user_is_not_root():
    lint(tool("hadolint"), CLUSTER / "Dockerfile")
    users = re.findall(r"^USER (\S+)", TEXTS["Dockerfile"], re.MULTILINE)
    assert users == ["10001"]
    assert f"semtune:{semtune.__version__} " in TEXTS["Dockerfile"]
    assert "constraints.txt" in TEXTS["Dockerfile"]
