"""A look at everything that a search needs, before it starts: machines, storage, MLflow."""

from __future__ import annotations

from dataclasses import dataclass

from semtune.errors import SemtuneError, StorageError, TrackingError
from semtune.examination import examine, examine_node
from semtune.nodes import MUST_AGREE, Finding, NodeFacts, judge_nodes
from semtune.report.text import Columns
from semtune.storage import Storage, probing
from semtune.tracking.store import ask_store, check_uri, shown
from semtune.workspace import Workspace

THIS = "this machine"
_GIB = 2**30
_SOFTWARE = ("node", *MUST_AGREE, "GPU driver", "token")
_HARDWARE = (
    "node", "computes on", "bfloat16", "cores", "GPUs", "memory", "/dev/shm", "free for frames", "clock",
)  # fmt: skip


@dataclass(frozen=True)
class CheckUp:
    """What was found."""

    nodes: dict[str, NodeFacts]
    """What each machine told, by name; those that did not answer are among the findings alone."""
    findings: tuple[Finding, ...]
    tracking: str
    """What is known of MLflow, one line."""

    @property
    def sound(self) -> bool:
        """Whether a search can start."""
        return all(found.severity != "fault" for found in self.findings)

    @property
    def title(self) -> str:
        """What was looked at."""
        return THIS if THIS in self.nodes else f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)}"

    @property
    def verdict(self) -> str:
        """One line that sums it up."""
        severities = [each.severity for each in self.findings]
        counts = {kind: severities.count(kind) for kind in ("fault", "warning")}
        told = " and ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count)
        return f"{told or 'nothing'} found; a search {'can' if self.sound else 'cannot'} start here"


def check_up(
    workspace: Workspace, address: str | None, tracking_uri: str | None, storage: str | None = None
) -> CheckUp:
    """Look at this machine, or at every node of a cluster, at the storage and at MLflow.

    Args:
        workspace: Where the search would be.
        address: Of a running Ray cluster; None for this machine alone.
        tracking_uri: Of MLflow's store; None for the workspace's own.
        storage: What all nodes are to reach; None where the workspace is a folder that they share.

    Raises:
        SearchError: If the cluster cannot be reached.
        TrackingError: If the URI cannot name a store.
    """
    others: list[Finding] = []
    here = examine(workspace.frames)
    nodes = _called(workspace, address, storage, others) if address else {THIS: here}
    if storage and not address:
        others += _unwritten(storage)
    tracking, troubles = _tracking(workspace, tracking_uri)
    return CheckUp(nodes, (*others, *judge_nodes(nodes, here.versions), *troubles), tracking)


def tables_of(found: CheckUp) -> list[tuple[str, Columns]]:
    """What each machine told, as tables with their headings."""
    nodes = found.nodes.items()
    shown = [
        ("software", Columns(_SOFTWARE, tuple((name, *_software(facts)) for name, facts in nodes), 1)),
        ("hardware", Columns(_HARDWARE, tuple((name, *_hardware(facts)) for name, facts in nodes), 2)),
    ]
    if facts := found.nodes.get(THIS):
        engines = tuple((name, hindrance or "yes") for name, hindrance in facts.engines.items())
        shown.append(("engines of `semtune score`", Columns(("engine", "can be used"), engines, 2)))
    return shown


def _software(facts: NodeFacts) -> tuple[str, ...]:
    token = {None: "", True: "yes", False: "no"}[facts.token]
    return (*(facts.versions.get(name, "") for name in MUST_AGREE), facts.driver or "none", token)


def _hardware(facts: NodeFacts) -> tuple[str, ...]:
    gpus = f"{len(facts.gpus)}" + "".join(f", {gpu.memory / _GIB:.0f} GiB" for gpu in facts.gpus[:1])
    return (
        facts.device,
        "yes" if facts.bfloat16 else "no",
        f"{facts.cpus}" if facts.ray_cpus is None else f"{facts.ray_cpus:g} of {facts.cpus}",
        gpus if facts.ray_gpus is None else f"{facts.ray_gpus:g} of {gpus}",
        f"{facts.memory / _GIB:.0f} GiB",
        "none" if facts.shared_memory is None else f"{facts.shared_memory / _GIB:.1f} GiB",
        f"{facts.cache_free / _GIB:.0f} GiB",
        f"{facts.clock_ahead:+.1f} s",
    )


def _called(
    workspace: Workspace, address: str, storage: str | None, others: list[Finding]
) -> dict[str, NodeFacts]:
    """What each node tells; what is wrong beside that is added to `others`."""
    from semtune.search.cluster import connected  # ray comes in here
    from semtune.search.roll_call import ask_nodes, hindered

    with connected(address):
        answers = ask_nodes(examine_node, None if storage else str(workspace.frames), afresh=True)
        hindrances = dict[str, str]()
        try:
            hindrances = hindered(storage or str(workspace.path))
        except StorageError as error:
            others.append(_fault(THIS, error))
    remedy = "install the same semtune there, or see `ray status` and the logs in /tmp/ray"
    others += [Finding("fault", each.node, each.trouble, remedy) for each in answers if each.trouble]
    return {
        each.node: NodeFacts.model_validate(each.told).model_copy(
            update={
                "ray_cpus": each.cpus,
                "ray_gpus": each.gpus,
                "clock_ahead": each.clock_ahead,
                "storage": hindrances.get(each.node, ""),
            }
        )
        for each in answers
        if not each.trouble
    }


def _unwritten(storage: str) -> list[Finding]:
    """A fault where this machine cannot write to a storage, and take away what it wrote."""
    try:
        with probing(Storage(storage)):
            pass
    except StorageError as error:
        return [_fault(THIS, error)]
    return []


def _fault(where: str, error: SemtuneError) -> Finding:
    """An error of ours as a fault: what is wrong, and behind the last semicolon what to do."""
    what, _, remedy = str(error).rpartition("; ")
    return Finding("fault", where, what, remedy)


def _tracking(workspace: Workspace, tracking_uri: str | None) -> tuple[str, list[Finding]]:
    try:
        check_uri(workspace, tracking_uri)
    except TrackingError as error:
        return "cannot be used", [_fault("MLflow", error)]
    if not tracking_uri and not workspace.database.exists():
        return "a database in the workspace, made by the first search", []
    try:
        ask_store(workspace, tracking_uri)
    except TrackingError as error:
        remedy = "runs wait in the journal meanwhile; start the server, or correct --tracking-uri"
        return "does not answer", [Finding("warning", "MLflow", str(error).rpartition("; ")[0], remedy)]
    return f"{shown(tracking_uri) if tracking_uri else 'the database in the workspace'} answers", []
