"""How MLflow's page shows a search at first sight: a saved view, and the addresses that lead to it."""

from __future__ import annotations

import json

VIEW = "table1"
"""The view's key in addresses."""
_COLUMNS = (
    "test_rmse", "test_rmse_low", "test_rmse_high", "test_r2", "test_plcc", "test_srcc", "validation_rmse",
    "milliseconds_per_image",
)  # fmt: skip
# Without it MLflow's page takes an experiment for one of language models, and shows their traces.
_TRAINING = "workflowType=machine_learning"


def view_tags() -> dict[str, str]:
    """Tags of an experiment from which MLflow's page makes its saved view "Table 1".

    The view lists finalists and baselines, side by side, the lowest test RMSE first.
    """
    state = {
        "searchFilter": "metrics.test_rmse >= 0",
        "orderByKey": "metrics.`test_rmse`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": ["tags.`semtune.kind`", *(f"metrics.`{name}`" for name in _COLUMNS)],
    }
    saved = {"name": "Table 1", "createdAt": 0, "state": json.dumps(state)}
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(saved)}


def table_address(server: str, experiment_id: str) -> str:
    """Where a server shows Table 1 of a search.

    Args:
        server: As in `http://127.0.0.1:5000`.
        experiment_id: Of the search.
    """
    return f"{server}/#/experiments/{experiment_id}/runs?{_TRAINING}&viewStateShareKey={VIEW}"


def models_address(server: str, model: str) -> str:
    """Where a server shows the versions of a registered model."""
    return f"{server}/#/models/{model}?{_TRAINING}"
