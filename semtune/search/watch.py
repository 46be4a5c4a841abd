"""What is looked at once a second beside the trials: nodes, the user's wishes, whether a trial runs."""

from __future__ import annotations

from collections.abc import Callable

from semtune.journal import Noted
from semtune.search.director import Director
from semtune.search.heartbeat import AwakeClock
from semtune.search.layout import Layout, Place
from semtune.search.nodes import Lookout
from semtune.search.packing import Node, listed
from semtune.stopping import WHOLE

_INTERVAL = 1.0
_HEAD_LIMIT = 30.0  # seconds without an answer; Ray itself ends this process after 60


class HeadGoneError(BaseException):
    """The head of the cluster does not answer; no `Exception`, for Tune would clean up by asking the head."""


class Watch:
    """Brings what it sees to the director.

    Args:
        director: Decides.
        layout: Follows the nodes.
        lookout: Knows the nodes, and when the head last answered.
        wishes: Returns what the user asked to stop since the last call.
    """

    def __init__(
        self, director: Director, layout: Layout, lookout: Lookout, wishes: Callable[[], list[str]]
    ) -> None:
        self._director, self._layout, self._lookout, self._wishes = director, layout, lookout, wishes
        self._clock, self._passed, self._silence = AwakeClock(), 0.0, 0.0
        self._answered = lookout.answered
        self._known = {node.name: node for node in lookout.nodes}
        self._orders: dict[str, Place] = {}
        self._at: dict[str, str] = {}  # trial -> node
        self.running = 0
        """Trials that have a worker."""

    def ordered(self, trial: str, place: Place) -> None:
        """Take note that a trial was given to Ray."""
        self._orders[trial] = place

    def started(self) -> None:
        """Take note that a worker begins a trial, which may be over before the next look."""
        self._director.circumstances.runs()

    def at_work(self, trial: str, node: str) -> None:
        """Take note that a worker on a node has a trial."""
        place, host = self._orders[trial], self._known[node].host if node in self._known else ""
        self._at[trial] = node
        self._director.circumstances.at_work(trial, node, host, place.cpus, place.gpus)

    def left(self, trial: str) -> str:
        """Take note that a worker let go of a trial; returns where that was, empty if it is not known."""
        self._orders.pop(trial, None)
        self._follow(self._lookout.nodes)  # before the death of a trial is judged
        return self._at.pop(trial, "")

    def forget(self) -> None:
        """Take note that Ray has no trial any more."""
        self._orders, self._at, self.running = {}, {}, 0

    @property
    def stranded(self) -> bool:
        """Whether all that waits waits for nodes that are gone, though others are there."""
        places = self._orders.values()
        return bool(places and self._layout.nodes and not self.running) and not any(
            place.is_on(node) for place in places for node in self._layout.nodes
        )

    @property
    def over(self) -> bool:
        """Whether nothing is to be waited for: the search was asked to end, and no trial runs."""
        return self._director.interrupted and not self.running

    def look(self) -> None:
        """Look around, at most once a second.

        Raises:
            HeadGoneError: If the head of the cluster has been silent for too long.
        """
        self._passed += self._clock.passed()
        if self._passed < _INTERVAL:
            return
        passed, self._passed = self._passed, 0.0
        self._listen(passed)
        self._follow(self._lookout.nodes)
        for wish in self._wishes():
            if wish == WHOLE:
                self._director.interrupt("`semtune stop` asked for it")
            else:
                self._director.stop(wish)
        if self.running:
            self._director.circumstances.runs()
        else:
            self._director.circumstances.waits(passed, len(self._layout.nodes))

    def _listen(self, passed: float) -> None:
        if not self._lookout.watches or self._lookout.answered != self._answered:
            self._silence, self._answered = 0.0, self._lookout.answered
            return
        self._silence += passed
        if self._silence > _HEAD_LIMIT:
            self._director.interrupt("the head of the Ray cluster does not answer")
            raise HeadGoneError

    def _follow(self, nodes: tuple[Node, ...]) -> None:
        alive = {node.name: node for node in nodes}
        if alive == self._known:
            return
        for name in self._known.keys() - alive.keys():
            self._director.circumstances.node_lost(name, self._known[name].host)
        for name in sorted(alive.keys() - self._known.keys()):
            self._director.noted(Noted(text=f"node {name[:8]} joined ({listed([alive[name]])})"))
        self._known = alive
        self._layout.look(nodes)
