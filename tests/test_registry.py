"""Entries by name: the order of the table, names taken once, the nearest name as an answer."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semtune.errors import SemtuneError, UnknownNameError
from semtune.registry import Registry, nearest_name


@dataclass(frozen=True)
class Entry:
    name: str


@pytest.fixture
def lenses():
    return Registry("lens", [Entry("objective"), Entry("condenser"), Entry("aperture")])


def test_entries_keep_the_order_of_the_table(lenses):
    assert lenses.names == ("objective", "condenser", "aperture")
    assert [entry.name for entry in lenses] == list(lenses.names)
    assert len(lenses) == 3


def test_an_entry_is_found_by_its_name(lenses):
    assert lenses["condenser"] == Entry("condenser")
    assert "condenser" in lenses
    assert "gun" not in lenses


def test_an_unknown_name_is_answered_with_the_nearest(lenses):
    with pytest.raises(UnknownNameError, match=r"^no lens named 'condensor'; did you mean 'condenser'\?$"):
        lenses["condensor"]


def test_a_name_like_no_other_is_answered_with_all(lenses):
    with pytest.raises(UnknownNameError, match=r"named 'xyz'; known: objective, condenser, aperture$"):
        lenses["xyz"]


def test_an_unknown_name_is_an_error_for_the_user(lenses):
    with pytest.raises(SemtuneError, match="no lens named"):
        lenses[""]


def test_a_name_is_taken_once(lenses):
    with pytest.raises(ValueError, match="two entries of kind 'lens' are named 'aperture'"):
        lenses.register(Entry("aperture"))
    assert len(lenses) == 3


@given(names=st.lists(st.text(max_size=8), unique=True, max_size=6))
def test_any_names_are_kept_and_found(names):
    registry = Registry("thing", map(Entry, names))
    assert registry.names == tuple(names)
    assert all(registry[name].name == name for name in names)


@given(name=st.text(max_size=12), known=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_hint_names_only_known_names(name, known):
    hint = nearest_name(name, known)
    shown = [each if each.isprintable() else repr(each) for each in known]
    assert hint == f"known: {', '.join(shown)}" or hint in [f"did you mean {each!r}?" for each in known]
