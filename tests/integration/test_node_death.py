"""A host of the cluster dies with a trial on it: the trial goes on elsewhere, from its checkpoint."""

import pytest

from semtune.environment import quiet_environment
from semtune.journal import read_events

quiet_environment()  # before ray is imported

pytestmark = [
    pytest.mark.slow,
    # ray.cluster_utils leaves pipes and processes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_trial_of_a_dead_host_goes_on_on_another(tmp_path):
    from ray.cluster_utils import Cluster
    from scripted import Scripted, search

    from semtune.search.access import guard
    from semtune.search.cluster import connected
    from semtune.search.driver import Resources

    guard(local=False)  # clusters of other tests in this process were on loopback alone

    class Slow(Scripted):
        seconds = 0.5

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    hosts = [cluster.add_node(num_cpus=1) for _ in range(2)]
    told = []

    def kill_a_host(event):
        told.append(event.event)
        if told.count("epoch_done") == 6 and len(hosts) == 2:
            cluster.remove_node(hosts.pop(), allow_graceful=False)

    (tmp_path / "trials").mkdir()
    resources = Resources(address=cluster.address, heartbeat=60.0)
    try:
        with connected(cluster.address):
            director = search(tmp_path, Slow, resources, stop_after=kill_a_host, trials=3)
    finally:
        cluster.shutdown()
    messages = [trial.ended.message for trial in director.record.trials.values()]
    assert [trial.reason for trial in director.record.trials.values()] == ["epochs"] * 3, messages
    assert len(hosts) == 1
    assert all(len(trial.epochs) == 12 for trial in director.record.trials.values())
    deaths = [event for event, _ in read_events(tmp_path / "journal.jsonl") if event.event == "trial_died"]
    assert len(deaths) == 1
