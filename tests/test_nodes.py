"""What machines tell of themselves is judged: each fault by its node, with what to do."""

import pytest

from semtune.nodes import Gpu, NodeFacts, judge_nodes, unlike

HERE = {"semtune": "0.1.0", "source": "ab12", "python": "3.11.7", "ray": "2.60.0", "torch": "2.14.1"}
GIB = 2**30
H100 = Gpu(name="NVIDIA H100", memory=80 * GIB)


def node(**facts):
    sound = {
        "versions": HERE, "cpus": 8, "memory": 64 * GIB, "shared_memory": 32 * GIB, "device": "a processor",
        "bfloat16": True, "engines": {}, "token": True, "cache": "cache", "cache_free": 100 * GIB,
        "ray_cpus": 8, "ray_gpus": len(facts.get("gpus", ())), "cuda": bool(facts.get("gpus")),
    }  # fmt: skip
    return NodeFacts(**{**sound, **facts})


def judged(**nodes):
    return judge_nodes(nodes, HERE)


def test_like_machines_are_sound():
    assert judged(a=node(), b=node(), c=node(gpus=(H100,), driver="570.1")) == []


@pytest.mark.parametrize(
    ("name", "version"), [("semtune", "0.0.9"), ("python", "3.12.7"), ("ray", "2.59.0"), ("torch", "2.13.0")]
)
def test_another_version_is_a_fault_of_that_node(name, version):
    (found,) = judged(a=node(), b=node(versions={**HERE, name: version}))
    assert (found.severity, found.node) == ("fault", "b")
    assert f"{name} {version}, but {HERE[name]} here" in str(found)
    assert "constraints.txt" in found.remedy


@pytest.mark.parametrize(("name", "version"), [("python", "3.11.9"), ("torch", "2.14.1+cu128")])
def test_a_version_that_differs_in_nothing_that_counts_is_no_fault(name, version):
    assert unlike("b", {**HERE, name: version}, HERE) == []


def test_equal_versions_of_unequal_source_are_a_fault():
    (found,) = unlike("b", {**HERE, "source": "cd34"}, HERE)
    assert "other source files" in found.what


def test_unequal_versions_are_named_without_their_source():
    (found,) = unlike("b", {**HERE, "source": "cd34", "semtune": "0.2.0"}, HERE)
    assert "semtune 0.2.0" in found.what


def test_a_node_that_tells_no_version_is_a_fault():
    (found,) = unlike("b", {name: HERE[name] for name in HERE if name != "torch"}, HERE)
    assert "torch unknown" in found.what


@pytest.mark.parametrize(
    ("facts", "severity", "words"),
    [
        ({"token": False}, "fault", "no token"),
        ({"gpus": (H100,), "cuda": False}, "fault", "torch sees no GPU"),
        ({"gpus": (H100, H100), "ray_gpus": 1}, "warning", "has 2 GPUs, but Ray gives 1"),
        ({"shared_memory": 64 * 2**20}, "warning", "/dev/shm holds 64 MiB"),
        ({"clock_ahead": 30.0}, "warning", "30 s ahead of"),
        ({"clock_ahead": -3600.0}, "fault", "3600 s behind"),
        ({"cache_free": 5 * 2**20}, "warning", "5 MiB are free"),
        ({"storage": "the bucket cannot be written"}, "fault", "the bucket cannot be written"),
    ],
)
def test_what_spoils_a_search_is_named_with_its_node(facts, severity, words):
    (found,) = judged(a=node(), b=node(**facts))
    assert (found.severity, found.node) == (severity, "b")
    assert words in found.what
    assert str(found).startswith("b: ")
    assert found.remedy


def test_the_driver_that_is_unlike_the_others_is_named():
    gpu = {"gpus": (H100,), "cuda": True}
    (found,) = judged(**{name: node(driver="570", **gpu) for name in "abc"}, d=node(driver="535", **gpu))
    assert (found.node, found.severity) == ("d", "warning")
    assert "535, but 570" in found.what


def test_a_cluster_that_gives_no_cores_is_told():
    (found,) = judged(head=node(ray_cpus=0))
    assert "no node gives cores" in found.what
    assert judged(head=node(ray_cpus=0), worker=node()) == []
    assert judged() == []  # nobody answered, which is told otherwise
    assert judged(alone=node(ray_cpus=None, token=None)) == []
