"""What is looked at once a second beside the trials, with a clock and nodes that the test moves."""

import pytest

from semtune.journal import SearchRecord
from semtune.search.director import Director
from semtune.search.heartbeat import AwakeClock
from semtune.search.layout import Layout
from semtune.search.nodes import Lookout
from semtune.search.packing import Node
from semtune.search.space import parse_space
from semtune.search.watch import HeadGoneError, Watch

SPACE = "architecture: pacf\nlearning_rate: {log_uniform: [1.0e-5, 1.0e-2]}\nepochs: 9\ntrials: 4\n"
A, B = Node("a" * 56, "10.0.0.1", 2, 0.0), Node("b" * 56, "10.0.0.2", 2, 0.0)


class Stage:
    """A watch over a director, where every look is a second after the one before."""

    def __init__(self, *nodes, max_nodes=None):
        self.events, self.wishes = [], []
        space = parse_space(SPACE, "space.yaml", "space")
        self.director = Director(space, SearchRecord(), None, self.events.append)
        self.lookout = Lookout(nodes, answered=0.0, watches=True)
        self.layout = Layout(max_nodes=max_nodes, patient=True)
        self.layout.look(nodes)
        self.watch = Watch(self.director, self.layout, self.lookout, self.asked)

    def asked(self):
        wishes, self.wishes = self.wishes, []
        return wishes

    def look(self, *nodes, answers=True):
        if answers:
            self.lookout.answered += 1.0
            self.lookout.nodes = nodes
        self.watch.look()

    def order(self):
        order = self.director.next_order()
        self.watch.ordered(order.trial, self.layout.place("pacf", alone=False))
        return order.trial

    def told(self, kind):
        return [event for event in self.events if event.event == kind]


@pytest.fixture(autouse=True)
def _a_second_a_look(monkeypatch):
    monkeypatch.setattr(AwakeClock, "passed", lambda self: 1.0)


def test_nodes_that_join_and_leave_are_told_once_and_laid_out():
    stage = Stage(A)
    for _ in range(3):
        stage.look(A, B)
    assert [event.text for event in stage.told("noted")] == [
        "node bbbbbbbb joined (10.0.0.2: 2 cores, 0 GPUs)"
    ]
    assert stage.layout.allotment.concurrent == 4
    for _ in range(3):
        stage.look(B)
    (lost,) = stage.told("node_lost")
    assert (lost.node, lost.host, lost.trials) == (A.name, A.host, ())
    assert stage.layout.allotment.concurrent == 2


def test_a_trial_at_work_is_told_with_what_it_takes_and_preempted_with_its_node():
    stage = Stage(A, B)
    trial = stage.order()
    stage.watch.at_work(trial, A.name)
    (stay,) = stage.told("trial_at_work")
    assert (stay.host, stay.cpus, stay.gpus) == (A.host, 1, 0)
    stage.look(B)
    assert stage.told("node_lost")[0].trials == (trial,)
    assert stage.watch.left(trial) == A.name
    assert stage.watch.left(trial) == ""


def test_a_death_is_judged_by_the_nodes_of_the_moment():
    stage = Stage(A, B)
    trial = stage.order()
    stage.watch.at_work(trial, A.name)
    stage.lookout.nodes = (B,)
    assert stage.watch.left(trial) == A.name
    assert stage.told("node_lost")[0].trials == (trial,)


def test_what_waits_for_a_node_that_is_gone_is_stranded_unless_a_trial_runs():
    stage = Stage(A, B, max_nodes=1)
    stage.order()
    assert not stage.watch.stranded
    stage.look(B)
    assert stage.watch.stranded
    stage.watch.running = 1
    assert not stage.watch.stranded
    stage.watch.running = 0
    stage.look()
    assert not stage.watch.stranded  # nowhere else to go


def test_a_search_that_is_stopped_is_over_when_no_trial_runs():
    stage = Stage(A)
    stage.watch.running = 1
    stage.wishes = ["*"]
    stage.look(A)
    assert (stage.director.interrupted, stage.director.trouble) == (True, "`semtune stop` asked for it")
    assert not stage.watch.over
    stage.watch.running = 0
    assert stage.watch.over


def test_a_trial_that_the_user_stops_is_told_to_the_director():
    stage = Stage(A)
    trial = stage.order()
    stage.director.died(trial, "lost", "killed")
    stage.wishes = [trial]
    stage.look(A)
    assert stage.told("trial_ended")[0].reason == "stopped"


def test_a_head_that_is_silent_for_half_a_minute_ends_the_search():
    stage = Stage(A)
    stage.watch.running = 1
    for _ in range(30):
        stage.look(answers=False)
    stage.look(A)
    for _ in range(30):
        stage.look(answers=False)
    assert not stage.director.interrupted
    with pytest.raises(HeadGoneError):
        stage.look(answers=False)
    assert stage.director.trouble == "the head of the Ray cluster does not answer"


def test_a_trial_that_is_over_before_the_next_look_ends_the_wait():
    stage = Stage(A)
    for _ in range(3):
        for _ in range(59):
            stage.look(A)
        stage.watch.started()
    assert stage.told("nothing_runs") == []


def test_nobody_asks_the_head_of_a_cluster_of_our_own():
    stage = Stage(A)
    stage.lookout.watches = False
    for _ in range(100):
        stage.look(answers=False)
    assert stage.director.interrupted is False
