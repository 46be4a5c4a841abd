"""Nodes come and go in the middle of a search; a search without any says so, ends, and can be resumed."""

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
            if event.event == "epoch_done" and epochs == 24:
                cluster.remove_node(nodes.pop(0), allow_graceful=False)

        director = search(
            tmp_path, Slow, Resources(address=cluster.address), stop_after=come_and_go, trials=9
        )
    record = director.record
    assert [trial.reason for trial in record.trials.values()] == ["epochs"] * 9
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
        assert director.trouble.startswith("no node is there to train")
        assert events_of(tmp_path, "nothing_runs")
        assert len(read_record(tmp_path / "journal.jsonl").trials) < 4
        cluster.add_node(num_cpus=2)
        director = search(tmp_path, Slow, resources, trials=4)
    assert [trial.reason for trial in director.record.trials.values()] == ["epochs"] * 4
