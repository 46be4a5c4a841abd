"""What runs beside a search: the Ray cluster, and the thread that sends the journal to MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module

from semtune.config import SPLIT_LABELS
from semtune.planning import CHANGEABLE, SearchPlan
from semtune.tracking.layout import TrackedSearch
from semtune.tracking.store import check_uri, open_store
from semtune.tracking.writer import TrackingWriter
from semtune.workspace import SearchFolder, Workspace

_PATIENCE = 1.0  # seconds to wait for the frames before Ray is started beside them
_LOG = logging.getLogger("semtune")


@contextmanager
def services(
    workspace: Workspace,
    folder: SearchFolder,
    prepare: Callable[[], SearchPlan],
    address: str | None,
    tracking_uri: str | None,
) -> Iterator[tuple[SearchPlan, TrackingWriter]]:
    """Start Ray and prepare the frames side by side, for each takes seconds; send the journal to MLflow.

    Args:
        workspace: Of the search.
        folder: Of the search; there once `prepare` has returned.
        prepare: Decodes what is not decoded; its plan is what is worked on.
        address: Of a running Ray cluster; None to start one.
        tracking_uri: Of MLflow's store; None for the workspace's own.

    Yields:
        The plan, and the writer that sends the journal to MLflow.

    Raises:
        SearchError: If the cluster cannot be reached or started, or a node of it runs another semtune.
        TrackingError: If the URI cannot be a store; one that is away is waited for instead.
    """
    from semtune.search.cluster import connected  # ray comes in here
    from semtune.search.roll_call import refuse_blind, refuse_strangers

    check_uri(workspace, tracking_uri)
    with ThreadPoolExecutor(1) as aside:
        preparing = aside.submit(prepare)
        with suppress(TimeoutError):  # what is wrong with few frames is told before Ray has started
            preparing.result(_PATIENCE)
        with connected(address):
            if address:
                refuse_strangers()
            import_module("semtune.search.driver")  # the workers have begun to import theirs
            plan = preparing.result()
            if address or plan.storage:
                refuse_blind(plan.storage or str(workspace.path))
            writer = TrackingWriter(lambda: open_store(workspace, tracking_uri), folder, tracked(plan))
            try:
                yield plan, writer
                writer.finish()
            finally:
                unsent = writer.close()  # before Ray's end, which can end this process
                if unsent:
                    why = f"{unsent} events wait in the journal ({writer.problem})"
                    _LOG.warning("%s; `semtune sync %s` sends them", why, plan.name)


def tracked(plan: SearchPlan) -> TrackedSearch:
    """Tell tracking what holds for all runs of a search."""
    settings = plan.space().settings.model_dump(exclude={"first"})
    given = plan.hyperparameters | {"precision": plan.precision, "split_seed": plan.split_seed}
    given |= {"split": SPLIT_LABELS[plan.split_kind]}
    both = {"search_space": plan.space_name, **settings, **given}
    changeable = {name: both[name] for name in CHANGEABLE if name in both}
    return TrackedSearch(
        name=plan.name,
        search_id=plan.search_id,
        parameters={name: value for name, value in both.items() if name not in changeable},
        changeable=changeable,
        dataset_name=plan.dataset_name,
        dataset_digest=plan.dataset_digest,
        dataset_folder=plan.dataset_folder,
        dataset_profile={
            "frames": plan.frames,
            "fields": plan.fields,
            "origin": plan.dataset_origin,
            "test_fields": len(plan.split["test"]),
        },
        device="",
        version=plan.versions["semtune"],
    )
