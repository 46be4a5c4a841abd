"""How trials are laid out while nodes come and go: rules on figures, without Ray."""

import pytest

from semtune.errors import SearchError
from semtune.search.layout import Layout, Place
from semtune.search.packing import Node

A, B, C = Node("a", "hosta", 2, 0.0), Node("b", "hostb", 4, 0.0), Node("c", "hostc", 1, 0.0)
HEAD = Node("head", "head", 0, 0.0)
GPU, BIG = Node("g", "hostg", 8, 1.0), Node("h", "hosth", 16, 4.0)


def looked(*nodes, **settings):
    layout = Layout(**settings)
    layout.look(nodes)
    return layout


def test_a_node_that_joins_makes_room_and_one_that_leaves_takes_it():
    layout = looked(HEAD, A, patient=True)
    assert layout.allotment.concurrent == 2
    layout.look((HEAD, A, B))
    assert layout.allotment.concurrent == 6
    layout.look((HEAD, B))
    assert layout.allotment.concurrent == 4


def test_without_a_node_one_order_keeps_its_shape_and_waits_for_an_autoscaler_to_see_it():
    layout = looked(HEAD, GPU, patient=True)
    before = layout.place("pacf", alone=False)
    layout.look((HEAD,))
    assert layout.allotment.concurrent == 1
    assert layout.place("pacf", alone=False) == before
    assert layout.nodes == ()


def test_before_any_node_was_seen_nothing_is_asked_for_unless_the_user_said_what():
    assert looked(HEAD, patient=True).allotment.concurrent == 0
    layout = looked(HEAD, patient=True, gpus_per_trial=1)
    assert (layout.allotment.concurrent, layout.place("pacf", alone=False)) == (1, Place(1, 1))


def test_trials_that_had_gpus_do_not_go_to_a_node_without_one():
    layout = looked(A, GPU, patient=True)
    assert layout.place("pacf", alone=False).gpus == 1.0
    layout.look((A,))
    assert layout.nodes == ()
    layout.look((A, BIG))
    assert (layout.nodes, layout.allotment.concurrent) == ((BIG,), 4)


def test_what_fits_nowhere_is_refused_at_the_first_look_and_waited_for_later():
    with pytest.raises(SearchError, match=r"no node has so many \(hostg: 8 cores, 1 GPUs\)"):
        looked(GPU, gpus_per_trial=2)
    layout = looked(BIG, gpus_per_trial=2, patient=True)
    layout.look((GPU,))
    assert layout.nodes == ()


def test_at_most_so_many_nodes_have_trials_the_largest_first_and_they_are_kept():
    layout = looked(C, A, max_nodes=1)
    assert layout.place("pacf", alone=False).nodes == ("a",)
    layout.look((C, A, B))
    assert layout.place("pacf", alone=False).nodes == ("a",)
    layout.look((C, B))
    assert layout.place("pacf", alone=False).nodes == ("b",)


def test_a_place_is_on_a_node_that_is_large_enough_and_allowed():
    assert Place(2, 0).is_on(A)
    assert not Place(4, 0).is_on(A)
    assert not Place(1, 1).is_on(A)
    assert not Place(1, 0, ("b",)).is_on(A)
