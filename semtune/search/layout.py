"""How trials are laid out on a cluster whose nodes come and go. Rules without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from semtune.search.packing import Allotment, Node, allot


@dataclass(frozen=True)
class Place:
    """What is reserved for a trial, and where that may be."""

    cpus: float
    gpus: float
    nodes: tuple[str, ...] = ()
    """Ray's names of the nodes that it may go to; empty for all."""

    @property
    def resources(self) -> dict[str, float]:
        """As Ray wants it."""
        return {"CPU": self.cpus, "GPU": self.gpus} if self.gpus else {"CPU": self.cpus}

    def is_on(self, node: Node) -> bool:
        """Whether a node, with nothing else on it, has room for it."""
        allowed = not self.nodes or node.name in self.nodes
        return allowed and self.cpus <= node.cpus and self.gpus <= node.gpus


@dataclass
class Layout:
    """The allotment of the moment; `look` follows the nodes.

    Where GPUs were seen once, trials go on asking for them: a node without one does not take over.

    Args:
        concurrent: Most trials at the same time, if the user said so.
        gpus_per_trial: If the user said so.
        max_nodes: Nodes that may have trials at the same time; None for all.
        patient: Whether trials may wait for nodes to come, as on a cluster that an autoscaler grows.
        companies: Trials that share a GPU, by architecture.
    """

    concurrent: int | None = None
    gpus_per_trial: float | None = None
    max_nodes: int | None = None
    patient: bool = False
    companies: Mapping[str, int] = field(default_factory=dict)
    allotment: Allotment = field(default_factory=lambda: Allotment(0, 1, 0.0))
    nodes: tuple[Node, ...] = ()
    """Those that may have trials."""
    _seen: Sequence[Node] | None = None

    def look(self, nodes: Sequence[Node]) -> None:
        """Lay trials out anew if the nodes changed.

        Raises:
            SearchError: If no node has enough for a trial, though some could train; at the first look alone.
        """
        if nodes == self._seen:
            return
        first, self._seen = self._seen is None, nodes
        able = [node for node in nodes if node.cpus and (first or node.gpus >= self._least())]
        self.nodes = tuple(self._choose(able))
        if self.nodes:
            self.allotment = allot(
                self.nodes, self.concurrent, self.gpus_per_trial, self.companies, self.patient
            )
        elif first:
            self.allotment = Allotment(int(self.gpus_per_trial is not None), 1, self.gpus_per_trial or 0.0)
        else:
            self.allotment = replace(self.allotment, concurrent=self.concurrent or 1)

    def place(self, architecture: str, alone: bool) -> Place:
        """What a trial takes, and where.

        Args:
            architecture: Of the trial.
            alone: Whether it must have no company.
        """
        cpus, gpus = self.allotment.of(architecture, alone)
        return Place(cpus, gpus, tuple(node.name for node in self.nodes) if self.max_nodes else ())

    def _least(self) -> float:
        """GPUs that a node must have to be of use."""
        return self.allotment.gpus if self.gpus_per_trial is None else self.gpus_per_trial

    def _choose(self, able: Sequence[Node]) -> Sequence[Node]:
        """As many nodes as may be used: those that are used already, then the largest."""
        if self.max_nodes is None:
            return able
        used = {node.name for node in self.nodes}
        order = sorted(able, key=lambda node: (node.name not in used, -node.gpus, -node.cpus, node.name))
        return order[: self.max_nodes]
