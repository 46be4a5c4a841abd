"""MLflow's page as people use it after a search, in a headless Chromium."""

import os
import sys
from uuid import uuid4

import pytest
from browser import browsing
from champion_place import write_candidate
from mlflow_server import free_port
from place import Place, until
from small_workspace import BASELINES
from test_ui import answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="knows its processes by Linux' table of them"),
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]
PATIENCE = 60  # seconds until a page is there
SHOWN = "document.body.innerText.includes"
NAMES = "[...document.querySelectorAll('.ag-row a[href*=\"/runs/\"]')].map(link => link.innerText.trim())"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished search with its report, sent to MLflow by the promotion of its finalist."""
    place = Place(tmp_path_factory.mktemp("pages"), uuid4().hex)
    write_candidate(place.workspace, place.folder / "frames")
    place.run("report", "tin", "--out", "tin.html", "--figures", "figures")
    place.run("promote", "tin")
    return place


@pytest.fixture(scope="module")
def pages(place):
    """Addresses that `semtune ui` prints, by what they show; the server listens meanwhile."""
    port = free_port()
    with place.started("ui", "--port", port):
        until(lambda: answer(port, f"127.0.0.1:{port}") == 200, 2 * PATIENCE)
        lines = (place.folder / "log").read_text().splitlines()
        yield dict(line.split(": ", 1) for line in lines if line.startswith(("search ", "champions: ")))


@pytest.fixture
def opened(browser):
    """Open a page anew, past what MLflow shows to newcomers, and wait for a text on it."""

    def open_page(address, text):
        browser.open(f"{address.split('#')[0]}health")
        browser.run("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        browser.open(address)
        shown(browser, text)

    return open_page


def shown(browser, *texts):
    for text in texts:
        browser.until(f"{SHOWN}('{text}')", PATIENCE)


def click(browser, text, kind="button, a, [role=treeitem], [role=tab], span, div"):
    """Click the innermost element with a text, once it is there."""
    found = f"[...document.querySelectorAll('{kind}')].filter(each => each.innerText?.trim() === '{text}')"
    browser.until(f"{found}.length", PATIENCE)
    browser.run(f"{found}.pop().click()")


def keep(browser, name):
    """A picture for the documents, where they are asked for."""
    if folder := os.environ.get("SEMTUNE_PAGE_PICTURES"):
        browser.picture(f"{folder}/{name}.png")


def run_ids(place):
    parent, children = place.runs("tin")
    return parent, {run.info.run_name: run for run in children.values()}


def test_table_1_has_networks_and_baselines_side_by_side(browser, place, pages, opened):
    opened(pages["search tin"], "pacf trial-0000")
    browser.until(f"{NAMES}.length === {len(BASELINES) + 1}", PATIENCE)
    names = browser.run(f"return {NAMES}")
    assert names[0] == "pacf trial-0000"  # the lowest test RMSE stands first
    assert set(names[1:]) == set(BASELINES)
    shown(browser, "test_rmse", "test_r2", "milliseconds_per_image")
    keep(browser, "mlflow_table")


def test_the_search_is_listed_as_a_parent_with_its_trials_below(browser, place, pages, opened):
    _, children = run_ids(place)
    opened(pages["search tin"].replace("&viewStateShareKey=table1", ""), "matching runs")
    browser.until(f"{NAMES}.join() === 'tin'", PATIENCE)
    browser.until("document.querySelector('[data-testid=\"expander-button\"], .ag-row button')", PATIENCE)
    browser.run("document.querySelector('[data-testid=\"expander-button\"], .ag-row button').click()")
    browser.until(f"{NAMES}.length > 10", PATIENCE)
    assert set(browser.run(f"return {NAMES}")) <= {"tin", *children}
    shown(browser, f"{len(children) + 1} matching runs")


def test_four_chosen_runs_are_compared_in_coordinates_and_charts(browser, place, pages, opened):
    opened(pages["search tin"], "pacf trial-0000")
    boxes = "document.querySelectorAll('.ag-row input[type=checkbox]')"
    browser.until(f"{boxes}.length >= 8", PATIENCE)
    browser.run(
        "const names = new Set(); for (const box of arguments[0]) {"
        "const row = box.closest('.ag-row').getAttribute('row-index');"
        "if (names.size < 4 && !names.has(row)) { names.add(row); box.click() } }",
        browser.run(f"return [...{boxes}]"),
    )
    click(browser, "Compare", "button")
    shown(browser, "Comparing 4 Runs", "Parallel Coordinates Plot")
    browser.until("document.querySelectorAll('.js-plotly-plot .y-axis').length >= 2", PATIENCE)
    keep(browser, "mlflow_compare")
    click(browser, "test_rmse", "a")
    shown(browser, "pacf trial-0000")
    browser.until("document.querySelector('.js-plotly-plot .main-svg')", PATIENCE)


def test_the_champions_page_has_version_alias_and_signature(browser, pages, opened):
    opened(pages["champions"], "Version 1")
    opened(pages["champions"].replace("?", "/versions/1?"), "Version 1")
    shown(browser, "champion", "pacf trial-0000", "semtune.test_rmse", "lower than 9.0000 of constant")
    click(browser, "Inputs (2)")
    click(browser, "Outputs (1)")
    shown(browser, "frame", "controls", "uint8", "float64")
    keep(browser, "mlflow_champion")


def test_report_figures_and_predictions_open_among_the_artifacts(browser, place, pages, opened):
    parent, children = run_ids(place)
    run = pages["search tin"].split("/runs?")[0] + "/runs/{}/artifacts/{}"
    opened(run.format(parent.info.run_id, "report.html"), "report.html")
    browser.until("document.querySelector('iframe')", PATIENCE)
    keep(browser, "mlflow_report")
    opened(run.format(parent.info.run_id, "figures/learning.png"), "learning.png")
    browser.until("[...document.querySelectorAll('img')].some(each => each.naturalWidth > 500)", PATIENCE)
    opened(run.format(children["entropy"].info.run_id, "predictions.csv"), "reference_score")
