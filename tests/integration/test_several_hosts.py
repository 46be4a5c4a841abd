"""A search over several hosts that die, join and lose their network finds what one machine finds."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from uuid import uuid4

import pytest
from estate import Tracking, cores, give_token, start_bucket, start_head, start_worker, why_no_postgres
from hosts import CHECKOUT, HOME, Network, network, why_not
from invariants import check_all
from place import Place, until
from s3_server import BUCKET, why_no_s3

from semtune.journal import read_events
from semtune.tracking.store import open_store

WHY_NOT = why_not() or why_no_postgres() or why_no_s3()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there can be hosts"),
    pytest.mark.timeout(600),  # all that happens is in the set-up of the first test
    # mlflow 3.17 with sqlalchemy 2.1: a loader strategy that mlflow still names.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]
CUT = 20.0  # seconds
# quick.yaml with two of its architectures and with trials that the order of events does not change:
# random proposals depend on the number of the trial alone, and none is stopped by what others did.
CHANGES = {
    "[pacf, vgg11, vgg13, vgg19, resnet50, resnet101]": "[pacf, resnet50]",
    "{value: 40, when: {architecture: [pacf]}, otherwise: 2}": (
        "{value: 100, when: {architecture: [pacf]}, otherwise: 4}"
    ),
    "[vgg11, vgg13, vgg19, resnet50, resnet101]": "[resnet50]",
    "trials: 12": "trials: 8\nsampler: random\nscheduler: none",
}
WHOLE = ("--data", "frames", "--name", "tin", "--precision", "float32")


@dataclass
class Site:
    """Where the search runs, as `invariants` asks for it."""

    made: Network
    place: Place

    @property
    def workspace(self):
        return self.place.workspace

    @property
    def journal(self):
        return self.workspace.search("tin").journal

    def processes(self, but=()):
        """Command lines of trials that run on any host."""
        return [line for host in self.made.hosts.values() for line in trials_on(host)]

    def events(self):
        return [event for event, _ in read_events(self.journal)] if self.journal.exists() else []

    def at_work(self):
        """Addresses of the hosts that have trained."""
        return {event.host for event in self.events() if event.event == "trial_at_work"}


@dataclass
class Searched:
    """What is known after the search."""

    site: Site
    tracking: Tracking
    code: int
    refused: str
    """What the host with a wrong token said."""


def trials_on(host):
    return [line for line in host.processes() if line.startswith("ray::RayTrial")]


def small_quick():
    text = (CHECKOUT / "search_spaces" / "quick.yaml").read_text()
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Frames and a search space in a folder that the head sees, and no other host."""
    place = Place(tmp_path_factory.mktemp("several"), uuid4().hex)
    place.run("simulate", "frames", "--fields", 12, "--settings", 4, "--seed", 1)
    (place.folder / "space.yaml").write_text(small_quick())
    return place


@pytest.fixture(scope="module")
def searched(place):
    """The search: one host is killed, one joins, one is cut off; MLflow is killed and comes back."""
    token = uuid4().hex
    with network(place.folder, "head") as made:
        head = made.hosts["head"]
        one, two, three = (made.join(name, shares=False) for name in ("one", "two", "three"))
        bucket = start_bucket(head)
        tracking = Tracking(head)
        tracking.start_database()
        tracking.start()
        for host in made.hosts.values():
            give_token(host, token)
        address = start_head(head, **bucket)
        for host in (one, two, three):
            start_worker(host, address, **bucket)
        until(lambda: cores(head) == 3)
        site = Site(made, place)
        search = head.start(
            "env", "-C", place.folder, "python", "-m", "semtune", "search", "space.yaml", *WHOLE,
            "--address", address, "--tracking-uri", tracking.uri, "--storage", f"s3://{BUCKET}/tin", **bucket,
        )  # fmt: skip
        intruder = made.join("intruder")
        give_token(intruder, uuid4().hex)
        knocking = [
            intruder.start("ray", "start", "--address", address, RAY_AUTH_MODE="token"),
            intruder.start(
                "env", "-C", place.folder, "python", "-m", "semtune", "--workspace", "/tmp/own",
                "search", "space.yaml", *WHOLE, "--address", address,
            ),
        ]  # fmt: skip
        until(lambda: {one.address, two.address} <= site.at_work())
        one.kill()
        four = made.join("four", shares=False)
        give_token(four, token)
        start_worker(four, address, **bucket)
        tracking.kill()
        until(lambda: trials_on(four))
        until(lambda: trials_on(two))
        two.cut()
        back = time.monotonic() + CUT
        tracking.start()
        time.sleep(max(0.0, back - time.monotonic()))
        two.restore()
        assert all(each.wait(60) for each in knocking)
        until(lambda: search.poll() is not None, 240)
        yield Searched(site, tracking, search.returncode, intruder.log)


def test_the_search_finishes_whatever_happens_to_its_hosts(searched):
    assert searched.code == 0, searched.site.made.hosts["head"].log
    hosts = searched.site.made.hosts
    assert searched.site.at_work() == {hosts[name].address for name in ("one", "two", "three", "four")}
    died = [event.trial for event in searched.site.events() if event.event == "trial_died"]
    assert 1 <= len(set(died)) <= 3
    [told] = searched.site.place.json("list")
    assert told["preempted"] == 1  # by the host that was killed, not by the one that came back


def test_a_host_that_joined_fetched_the_frames_by_their_digest(searched):
    digest = searched.site.place.json("report", "tin")["dataset"]["digest"]
    assert f"{digest}.u8" in searched.site.made.hosts["four"].run("ls", "-R", f"{HOME}/.cache/semtune")


def test_trials_runs_and_study_agree_and_nothing_is_left_running(searched):
    store = open_store(searched.site.workspace, searched.tracking.uri)
    tally = check_all(searched.site, "tin", store=store)
    assert tally.trials == tally.finished == 8
    assert (tally.lost, tally.doubled, tally.zombies, tally.leaked) == (0, 0, 0, 0)


def test_a_host_with_a_wrong_token_is_refused_and_told_why(searched):
    assert searched.refused.count("InvalidAuthToken") > 1
    assert (
        "semtune: Ray cannot be reached or started: the token here is not the cluster's" in searched.refused
    )


def test_one_machine_reports_the_same(searched, tmp_path):
    alone = Place(tmp_path, uuid4().hex)
    for name in ("frames", "space.yaml"):
        (tmp_path / name).symlink_to(searched.site.place.folder / name)
    alone.run("search", "space.yaml", *WHOLE, "--concurrent", 2)
    here, there = (comparable(each.json("report", "tin")) for each in (alone, searched.site.place))
    assert here == there


def comparable(report):
    """What a report compares, without when and where it was computed."""
    rows = {row["name"]: _lasting(row) for row in report["rows"]}
    return json.dumps([rows, report["differences"], report["letters"]], sort_keys=True, indent=1)


def _lasting(row):
    passing = ("milliseconds", "device", "run_id")
    kept = {key: value for key, value in row.items() if not key.startswith(passing)}
    return {key: _lasting(value) if isinstance(value, dict) else value for key, value in kept.items()}
