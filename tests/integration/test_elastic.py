"""Nodes come and go in the middle of a search; a search without any says so, ends, and can be resumed."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from semtune.environment import quiet_environment
from semtune.journal import read_events, read_record

quiet_environment()  # before ray is imported

pytestmark = [
    pytest.mark.slow,
    # ray.cluster_utils leaves pipes and processes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def cluster_of(*cpus):
    """A cluster whose head takes no trials, with a node for each number of cores; yields both."""
    from ray.cluster_utils import Cluster

    from semtune.search.access import guard
    from semtune.search.cluster import connected

    guard(local=False)  # clusters of other tests in this process were on loopback alone
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": {"health_check_period_ms": 500}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=each) for each in cpus]
    try:
        with connected(cluster.address):
            yield cluster, nodes
    finally:
        cluster.shutdown()


def events_of(folder, kind):
    return [event for event, _ in read_events(folder / "journal.jsonl") if event.event == kind]


def test_nodes_that_join_are_used_and_trials_of_lost_ones_are_preempted(tmp_path):
    from scripted import Scripted, search

    from semtune.search.driver import Resources

    class Slow(Scripted):
        seconds = 0.25

    (tmp_path / "trials").mkdir()
    with cluster_of(1) as (cluster, nodes):

        def come_and_go(event):
            epochs = len(events_of(tmp_path, "epoch_done"))
            if event.event == "epoch_done" and epochs == 4:
                nodes.append(cluster.add_node(num_cpus=2))
            if event.event == "epoch_done" and epochs == 16:
                cluster.remove_node(nodes.pop(0), allow_graceful=False)

        director = search(
            tmp_path, Slow, Resources(address=cluster.address), stop_after=come_and_go, trials=5
        )
    record = director.record
    assert [trial.reason for trial in record.trials.values()] == ["epochs"] * 5
    stays = events_of(tmp_path, "trial_at_work")
    assert len({stay.node for stay in stays}) == 2
    assert any("joined" in note for note in record.notes)
    (lost,) = events_of(tmp_path, "node_lost")
    assert len(lost.trials) == 1
    assert record.trials[lost.trials[0]].preempted == 1
    assert record.trials[lost.trials[0]].deaths == 0
    assert record.usage.at_work == {}


def test_a_search_without_workers_ends_after_a_while_and_goes_on_when_there_are_some(tmp_path):
    from scripted import Scripted, search

    from semtune.search.driver import Resources

    class Slow(Scripted):
        seconds = 0.25

    (tmp_path / "trials").mkdir()
    with cluster_of(2) as (cluster, nodes):
        resources = Resources(address=cluster.address)

        def lose_all(event):
            if event.event == "epoch_done" and nodes and len(events_of(tmp_path, "epoch_done")) == 5:
                cluster.remove_node(nodes.pop(), allow_graceful=False)

        director = search(tmp_path, Slow, resources, stop_after=lose_all, wait=15.0, trials=4)
        assert director.interrupted
        assert director.trouble.startswith("there has been no node to train on")
        assert events_of(tmp_path, "nothing_runs")
        assert len(read_record(tmp_path / "journal.jsonl").trials) < 4
        cluster.add_node(num_cpus=2)
        director = search(tmp_path, Slow, resources, trials=4)
    assert [trial.reason for trial in director.record.trials.values()] == ["epochs"] * 4


def test_no_more_nodes_have_trials_than_the_user_allows_even_when_one_is_lost(tmp_path):
    from scripted import Scripted, search

    from semtune.search.driver import Resources

    class Slow(Scripted):
        seconds = 0.25

    (tmp_path / "trials").mkdir()
    with cluster_of(2, 1) as (cluster, nodes):

        def lose_the_used_one(event):
            if event.event == "epoch_done" and event.result.epoch == 5 and len(nodes) == 2:
                assert {stay.node for stay in events_of(tmp_path, "trial_at_work")} == {nodes[0].node_id}
                cluster.remove_node(nodes.pop(0), allow_graceful=False)

        resources = Resources(address=cluster.address, max_nodes=1)
        director = search(tmp_path, Slow, resources, stop_after=lose_the_used_one, trials=3)
    assert [trial.reason for trial in director.record.trials.values()] == ["epochs"] * 3
    assert {stay.node for stay in events_of(tmp_path, "trial_at_work")[2:]} == {nodes[0].node_id}


def test_more_gpus_than_any_node_has_are_refused_at_once(tmp_path):
    from scripted import search

    from semtune.errors import SearchError
    from semtune.search.driver import Resources

    with (
        cluster_of(1) as (cluster, _),
        pytest.raises(SearchError, match=r"asks for 2 GPUs, but no node has so many \(.*: 1 cores, 0 GPUs\)"),
    ):
        search(tmp_path, resources=Resources(address=cluster.address, gpus_per_trial=2))


def test_a_search_whose_head_dies_ends_and_can_be_resumed(tmp_path):
    """In a process of its own: Ray itself may end it, after a minute."""
    program = f"import sys; sys.path[:0] = {sys.path!r}; import test_elastic as it; "
    program += f"it.lose_the_head({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False)
    record = read_record(tmp_path / "journal.jsonl")
    assert record.epochs_trained >= 3
    assert not [trial for trial in record.trials.values() if trial.failed]


def lose_the_head(folder):
    """Kill the head in the middle of a search."""
    from pathlib import Path

    from scripted import Scripted, search

    from semtune.search import watch
    from semtune.search.driver import Resources

    class Slow(Scripted):
        seconds = 0.5

    folder, watch._HEAD_LIMIT = Path(folder), 6.0
    (folder / "trials").mkdir()

    def kill_the_head(event):
        if event.event == "epoch_done" and len(events_of(folder, "epoch_done")) == 3:
            cluster.head_node.kill_gcs_server(check_alive=False)

    with cluster_of(1) as (cluster, _):
        director = search(
            folder, Slow, Resources(address=cluster.address), stop_after=kill_the_head, trials=3
        )
        print(director.trouble, flush=True)
