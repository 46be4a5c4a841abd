"""The program as its user meets it: commands, answers, exit codes, and errors of one line."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import write_small_dataset
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from small_workspace import append, epoch, plan_small_search, started, write_small_search

from semtune import cli, cli_search
from semtune.cli_options import complain, parse_controls, parse_heartbeat, parse_seconds, parse_wait
from semtune.errors import ConfigError
from semtune.journal import NodeLost, SearchClosed, SearchOpened, TrialAtWork, TrialEnded
from semtune.workspace import Workspace

COMMANDS = (
    "search", "resume", "list", "report", "simulate", "check", "promote", "rollback", "score", "ui", "sync",
    "import", "focus", "stop", "label", "show",
)  # fmt: skip
ROW = {
    "name", "kind", "test_rmse", "test_rmse_low", "test_rmse_high", "test_r2", "test_plcc", "test_srcc",
    "milliseconds_per_image", "milliseconds_per_image_batch32", "device", "trial", "run_id",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the program said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("SEMTUNE_WORKSPACE", "MLFLOW_TRACKING_URI", "SEMTUNE_QUIET", "NO_COLOR"):
        monkeypatch.setenv(name, "")  # so that what a command sets is taken back
        monkeypatch.delenv(name)


@pytest.fixture
def semtune(monkeypatch, capsys, tmp_path):
    """Calls the program in this process, as its console script does; everything happens in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["semtune", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.run()
        said = capsys.readouterr()
        return Answer(ended.value.code or 0, said.out, said.err)

    return call


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A sound dataset that no test changes."""
    return write_small_dataset(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, dataset):
    """A workspace with one finished search, `demo`, that no test changes."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    write_small_search(workspace, dataset, "demo")
    return workspace


@pytest.fixture
def broken(tmp_path, dataset):
    """The dataset with one frame that ends in the middle."""
    folder = shutil.copytree(dataset, tmp_path / "broken")
    frame = folder / "frames" / "field1_2.png"
    frame.write_bytes(frame.read_bytes()[:500])
    return folder


def refusal(answer):
    """The one line of an error; it must be one, without a traceback and with nothing on standard output."""
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("semtune: ")
    assert "Traceback" not in answer.err
    return answer.err.removeprefix("semtune: ").strip()


# The command line itself


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(semtune, command):
    answer = semtune(command, "--help")
    assert answer.code == 0
    assert f"semtune {command}" in answer.out


def test_the_help_names_every_command(semtune):
    assert all(command in semtune("--help").out for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["search", "quick"],
        ["search", "quick", "--data", "d", "--name", "n", "--trials", "0"],
        ["search", "quick", "--data", "d", "--name", "n", "--crop", "63"],
        ["search", "quick", "--data", "d", "--name", "n", "--precision", "float16"],
        ["report"],
        ["score"],
    ],
)
def test_a_wrong_usage_exits_with_2(semtune, arguments):
    answer = semtune(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error" in answer.err


def test_the_version_is_said(semtune):
    from semtune import __version__

    assert semtune("--version").out == f"semtune {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nothing"], b"no search named 'nothing'"),
        (["search", "qick", "--data", "d", "--name", "n"], b"did you mean 'quick'?"),
    ],
)
def test_the_installed_program_tells_an_error_in_one_line_and_exits_with_1(tmp_path, arguments, message):
    script = Path(sys.executable).with_name("semtune")
    done = subprocess.run([script, *arguments], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "semtune-workspace").exists()


def test_the_module_is_the_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "semtune", "list", "--json"], cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"[]\n")


def test_quiet_leaves_results_alone_wherever_it_stands(semtune, tmp_path):
    made = semtune("simulate", "a", "--fields", "2", "--settings", "1")
    assert "2 simulated frames" in made.out
    assert semtune("simulate", "b", "--fields", "2", "--settings", "1", "--quiet").out == ""
    assert semtune("-q", "simulate", "c", "--fields", "2", "--settings", "1").out == ""
    assert semtune("simulate", "d", "--fields", "2", "--settings", "1", "-q", "--json").json["frames"] == 2
    assert "2 frames, 2 fields" in semtune("check", "a", "-q").out
    assert "no search named" in refusal(semtune("report", "nothing", "-q"))


def test_an_error_is_red_unless_no_color_asks_for_none(monkeypatch):
    said = []
    monkeypatch.setattr("typer.secho", lambda text, err, fg: said.append(fg))
    complain("no")
    monkeypatch.setenv("NO_COLOR", "1")
    complain("no")
    assert said == ["red", None]


# What options mean


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), (" 1h1m1s ", 3661)]
)
def test_durations_are_hours_minutes_and_seconds(text, seconds):
    assert parse_seconds(text) == seconds


def test_no_duration_is_no_budget():
    assert parse_seconds(None) is None


@pytest.mark.parametrize("text", ["", "30", "m", "1.5h", "-5m", "30m1h", "soon"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match=r"is no duration; write e\.g\. 30m"):
        parse_seconds(text)


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.floats(-1e6, 1e6), max_size=4))
def test_control_parameters_read_back_as_written(controls):
    assert parse_controls(", ".join(f"{name}={value!r}" for name, value in controls.items())) == controls


@pytest.mark.parametrize("text", ["brightness", "brightness=", "brightness=high", "focus=nan", "a=1,b=inf"])
def test_what_is_no_control_parameter_is_refused(text):
    with pytest.raises(ConfigError, match=r"is not name=number; write e\.g\. brightness=50"):
        parse_controls(text)


# Datasets


def test_check_counts_what_is_sound(semtune, dataset):
    answer = semtune("check", dataset, "--json")
    assert answer.code == 0
    assert answer.json["frames"] == 24
    assert answer.json["fields"] == 6
    assert answer.json["faults"] == []
    assert len(answer.json["digest"]) == 64


def test_check_names_a_broken_frame_and_exits_with_1(semtune, broken):
    answer = semtune("check", broken, "--json")
    assert answer.code == 1
    [fault] = answer.json["faults"]
    line = (broken / "manifest.csv").read_text().splitlines()[fault["line"] - 1]
    assert fault["file"] == "manifest.csv"
    assert line.startswith("frames/field1_2.png")
    assert f"error: manifest.csv:{fault['line']}: " in semtune("check", broken).out


def test_a_simulation_does_not_overwrite(semtune, dataset, tmp_path):
    message = refusal(semtune("simulate", dataset, "--fields", "1", "--settings", "1"))
    assert "not an empty folder" in message
    assert "no specialist" in refusal(semtune("simulate", tmp_path / "new", "--profile", "focuss"))
    for options, message in (
        (("--disturb", "drift_px=1", "--varied"), "--varied draws disturbances for each frame"),
        (("--disturb", "drift=1"), "did you mean 'drift_px'"),
        (("--disturb", "drift_px"), "--disturb: 'drift_px' is not name=number"),
    ):
        assert message in refusal(semtune("simulate", tmp_path / "new", *options))
    assert not (tmp_path / "new").exists()


# What a search refuses before it starts


def asked(space, data, *options):
    return ["search", space, "--data", data, "--name", "new", *options]


def test_an_unknown_hyperparameter_is_named_with_file_line_and_nearest_name(semtune, dataset, tmp_path):
    (tmp_path / "my.yaml").write_text("architecture: pacf\nlerning_rate: 0.1\n")
    message = refusal(semtune(*asked("my.yaml", dataset)))
    assert message.startswith("my.yaml:2: ")
    assert "'lerning_rate'" in message
    assert "did you mean 'learning_rate'?" in message


def test_an_unknown_architecture_is_named_with_file_line_and_nearest_name(semtune, dataset, tmp_path):
    (tmp_path / "my.yaml").write_text("architecture: {choice: [pacf, resnet5]}\n")
    message = refusal(semtune(*asked("my.yaml", dataset)))
    assert message.startswith("my.yaml:1: ")
    assert "did you mean 'resnet50'?" in message


def test_a_search_of_a_broken_frame_says_how_to_leave_it_out(semtune, broken, tmp_path):
    message = refusal(semtune(*asked("quick", broken)))
    assert "field1_2.png" in message
    assert "--leave-out-faulty" in message
    assert not (tmp_path / "semtune-workspace" / "searches").exists()


def test_a_missing_frame_is_refused_with_the_same_remedy(semtune, broken):
    (broken / "frames" / "field1_2.png").unlink()
    assert "--leave-out-faulty" in refusal(semtune(*asked("quick", broken)))


def test_the_faulty_can_be_left_out(semtune, broken):
    answer = semtune(*asked("quick", broken, "--leave-out-faulty", "--dry-run", "--no-probe", "--json"))
    assert answer.code == 0
    assert answer.json["frames"] == 23


def test_frames_smaller_than_the_crop_are_refused(semtune, dataset):
    message = refusal(semtune(*asked("quick", dataset, "--crop", "97")))
    assert "24 frames have a side below the crop of 97 pixels" in message
    assert semtune(*asked("quick", dataset, "--crop", "96", "--dry-run", "--no-probe")).code == 0


def test_a_dataset_that_is_not_there_is_refused(semtune):
    assert "no folder" in refusal(semtune(*asked("quick", "nowhere")))


def test_a_bad_time_budget_is_refused_in_a_dry_run_too(semtune, dataset):
    command = asked("quick", dataset, "--time-budget", "soon")
    for options in ([], ["--dry-run", "--no-probe"]):
        assert "is no duration" in refusal(semtune(*command, *options))


def test_a_dry_run_explains_and_starts_nothing(semtune, dataset, tmp_path):
    asked_for = asked("quick", dataset, "--trials", "7", "--epochs", "5", "--dry-run", "--no-probe")
    facts = semtune(*asked_for, "--json").json
    assert (facts["frames"], facts["fields"]) == (24, 6)
    assert sum(stratum["trials"] for stratum in facts["strata"]) == 7
    assert {stratum["epochs"] for stratum in facts["strata"]} == {5}
    assert facts["most_epochs"] == 35
    text = semtune(*asked_for)
    assert text.code == 0
    assert "at most 35 epochs; nothing was started" in text.out
    assert not (tmp_path / "semtune-workspace" / "searches").exists()


def test_a_dry_run_tells_of_fresh_seeds_and_of_a_split_that_leaks(semtune, dataset):
    asked_for = asked("quick", dataset, "--trials", "6", "--epochs", "5", "--seeds", "2", "--split", "random")
    text = semtune(*asked_for, "--dry-run", "--no-probe").out
    assert (
        "1 trials of up to 5 epochs, rungs at 1, 3 (about 1 reach 3, 1 reach 5), 2 more with fresh seeds"
        in text
    )
    assert "warning: --split random leaks" in text
    assert "at most 90 epochs" in text


def test_a_name_that_is_taken_is_refused_and_nothing_changes(semtune, dataset, finished):
    before = contents(finished.path)
    command = ["search", "quick", "--data", dataset, "--name", "demo", "--workspace", finished.path]
    for options in ([], ["--dry-run", "--no-probe"]):
        message = refusal(semtune(*command, *options))
        assert "`semtune resume demo` goes on with it" in message
        assert "another --name starts anew" in message
    assert contents(finished.path) == before


def test_a_name_that_leaves_the_workspace_is_refused(semtune, dataset):
    assert "cannot name a search" in refusal(
        semtune("search", "quick", "--data", dataset, "--name", "../out", "--dry-run", "--no-probe")
    )


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


# The list


def test_an_empty_workspace_lists_nothing(semtune):
    assert semtune("list", "--json").json == []


def test_the_list_tells_how_each_search_ended(semtune, dataset, tmp_path):
    workspace = Workspace(tmp_path / "semtune-workspace")
    opened = SearchOpened(pid=1, host="h", at=100.0)
    ends = {
        "died": [TrialEnded(trial="trial-0000", reason="epochs", at=107.0)],
        "stopped": [SearchClosed(state="interrupted", at=107.0)],
        "done": [SearchClosed(state="finished", at=107.0)],
        "broke": [SearchClosed(state="failed", message="why", at=107.0)],
    }
    for name, end in ends.items():
        folder, _ = plan_small_search(workspace, dataset, name)
        append(folder, opened, started(0), started(1), epoch(0, 1, 1.5), epoch(0, 2, 1.25), *end)
    searches = {each["name"]: each for each in semtune("list", "--json").json}
    states = {name: each["state"] for name, each in searches.items()}
    assert states == {"died": "interrupted", "stopped": "interrupted", "done": "finished", "broke": "failed"}
    assert searches["died"] == {
        "name": "died", "state": "interrupted", "trials": 2, "finished": 1, "failed": 0, "preempted": 0,
        "epochs": 2, "frames_trained": 20, "seconds": 7.0, "gpu_hours": 0.0, "cpu_hours": 0.0, "cost": None,
        "best_validation_rmse": 1.25, "split": "field", "running": None,
    }  # fmt: skip
    shown = semtune("list").out
    assert all(name in shown for name in ends)


def test_a_search_that_another_process_holds_is_running(semtune, finished):
    lock = finished.search("demo").path / "lock"
    script = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(); input()"
    command = [sys.executable, "-u", "-c", script, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"\n"
        [each] = semtune("--workspace", finished.path, "list", "--json").json
        before = contents(finished.path)
        message = refusal(semtune("resume", "demo", "--trials", "9", "--workspace", finished.path))
        assert contents(finished.path) == before
        holder.stdin.write(b"\n")
    assert each["state"] == "running"
    assert "is running in another process" in message
    assert set(each["running"]) == {"host", "pid", "since", "nodes", "trials"}
    assert semtune("list", "--json", "--workspace", finished.path).json[0]["state"] == "finished"


def test_what_cannot_be_stopped_is_told_in_one_line(semtune, finished):
    def refused(*arguments):
        return refusal(semtune("stop", *arguments, "--workspace", finished.path))

    assert "no search named 'nonsense'" in refused("nonsense")
    assert refused("demo") == "search 'demo' is not running; it is finished"
    lock = FileLock(finished.search("demo").path / "lock")
    with lock, pytest.MonkeyPatch.context() as patch:
        patch.setattr("semtune.hold.state_of", lambda folder, record: "running")
        assert refused("demo", "--trial", "trial-0001") == "trial-0001 has ended already (asha)"
        assert refused("demo", "--trial", "trial-001").startswith(
            "no trial 'trial-001' in search 'demo'; did"
        )
        answer = semtune("stop", "demo", "--workspace", finished.path)
        assert "at the next epoch; `semtune resume demo` goes on" in answer.out
    assert finished.search("demo").stop.read_text() == "*\n"
    finished.search("demo").stop.unlink()


def test_the_list_and_the_report_tell_of_machines_that_were_taken_away(semtune, tmp_path, dataset):
    workspace = Workspace(tmp_path / "semtune-workspace")
    folder = write_small_search(workspace, dataset, "spot")
    append(
        folder,
        SearchOpened(pid=1, host="here", at=200.0),
        TrialAtWork(trial="trial-0000", node="n", host="10.0.0.7", cpus=4, gpus=0.5, at=200.0),
        NodeLost(node="n", host="10.0.0.7", trials=("trial-0000",), at=7400.0),
        SearchClosed(state="finished", at=7400.0),
    )
    [listed] = semtune("list", "--json").json
    assert [listed[name] for name in ("preempted", "gpu_hours", "cpu_hours", "cost")] == [1, 1.0, 8.0, None]
    note = "Trials took 1.00 GPU-hours, 8.00 core-hours (reserved, while at work); machines were taken away"
    assert note in semtune("report", "spot").out
    assert semtune("report", "spot", "--json").json["hours"]["gpu"] == 1.0


# The report


def test_a_report_shows_another_search_beside(semtune, finished):
    answer = semtune("report", "demo", "--beside", "demo", "--json", "--workspace", finished.path)
    assert answer.json["beside"]["test_rmse"]["pacf"] == pytest.approx(0.5)
    assert answer.json["test_uses"] == {"here": 1, "everywhere": 1, "searches": 1}
    assert answer.json["acquisition_order"]["by"] == "names"
    shown = semtune("report", "demo", "--beside", "demo", "--workspace", finished.path).out
    assert "Beside the search demo" in shown
    assert "Warning: Only 2 test fields" in shown


def test_two_searches_are_put_side_by_side(semtune, tmp_path, dataset):
    workspace = Workspace(tmp_path / "both")
    write_small_search(workspace, dataset, "one")
    write_small_search(workspace, dataset, "other", network_error=0.8)
    told = semtune("compare", "one", "other", "--json", "--workspace", workspace.path).json
    assert told["settings"] == {}
    assert told["paired"]["pacf"]["value"] == pytest.approx(-0.3)
    assert told["paired"]["pacf"]["is_real"]
    assert told["paired"]["joint"]["value"] == 0
    assert not told["paired"]["joint"]["is_real"]
    shown = semtune("compare", "one", "other", "--workspace", workspace.path).out
    assert "No setting differs" in shown
    assert "-0.300 (-0.300 to -0.300)" in shown
    beside = semtune("report", "one", "--beside", "other", "--json", "--workspace", workspace.path).json
    assert beside["beside"]["paired"] == told["paired"]


def test_two_trials_are_put_side_by_side(semtune, finished):
    told = semtune("compare", "demo/trial-0000", "demo/trial-0001", "--workspace", finished.path)
    assert "What differs" not in told.out  # the same hyperparameters, seed and data
    assert "met no test frames in common" in told.out
    figures = semtune("compare", "demo/trial-0000", "demo/trial-0001", "--json", "--workspace", finished.path)
    rows = {row["figure"]: row for row in figures.json["figures"]}
    assert rows["ended by"]["demo/trial-0001"] == "asha"
    assert rows["test RMSE"]["demo/trial-0000"] == "0.500"
    itself = semtune("compare", "demo/trial-0000", "demo/trial-0000", "--json", "--workspace", finished.path)
    assert itself.json["paired"]["test RMSE"]["value"] == 0
    message = refusal(semtune("compare", "demo/trial-0009", "demo/trial-0000", "--workspace", finished.path))
    assert "there are: demo/trial-0000 to demo/trial-0002" in message


def test_the_report_keeps_the_contract(semtune, finished, dataset):
    answer = semtune("report", "demo", "--json", "--workspace", finished.path)
    table = answer.json
    assert table["search"] == "demo"
    assert table["dataset"]["digest"] == semtune("check", dataset, "--json").json["digest"]
    assert table["dataset"]["origin"] == "measured"
    assert (table["dataset"]["frames"], table["dataset"]["fields"]) == (24, 6)
    parts = table["dataset"]["split"]
    assert set(parts) == {"train", "validation", "test"}
    assert sorted(field for part in parts.values() for field in part) == [
        f"field{number}" for number in range(6)
    ]
    assert all(set(row) >= ROW for row in table["rows"])
    rows = {row["name"]: row for row in table["rows"]}
    assert {"entropy", "joint", "controls", "constant", "pacf"} <= set(rows)
    assert rows["pacf"]["test_rmse"] == pytest.approx(0.5)
    network = rows["pacf"]
    assert (network["kind"], network["trial"], network["run_id"]) == ("network", "trial-0000", None)
    assert (rows["joint"]["kind"], rows["joint"]["trial"]) == ("joint", None)
    assert rows["constant"]["milliseconds_per_image"] is None


def test_the_report_is_written_in_every_format(semtune, finished, tmp_path):
    files = [tmp_path / "out" / f"table{suffix}" for suffix in (".md", ".csv", ".tex", ".json", ".html")]
    options = [option for file in files for option in ("--out", file)]
    answer = semtune("report", "demo", *options, "--workspace", finished.path)
    assert answer.code == 0
    assert all(f"-> {file}" in answer.out for file in files)
    assert all("pacf" in file.read_text("utf-8") for file in files)
    assert (
        json.loads(files[3].read_text())
        == semtune("report", "demo", "--json", "--workspace", finished.path).json
    )


def test_an_unknown_format_is_refused_before_anything_is_written(semtune, finished, tmp_path):
    command = ["report", "demo", "--out", "a.md", "--out", "b.pdf", "--workspace", finished.path]
    assert "no table format named '.pdf'" in refusal(semtune(*command))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(semtune, finished, tmp_path):
    (tmp_path / "folder.md").mkdir()
    message = refusal(semtune("report", "demo", "--out", "folder.md", "--workspace", finished.path))
    assert "folder.md: cannot be written" in message


def test_a_search_that_has_only_begun_has_a_report(semtune, dataset, tmp_path):
    folder, _ = plan_small_search(Workspace(tmp_path / "semtune-workspace"), dataset, "young")
    append(folder, SearchOpened(pid=1, host="h"), started(0), epoch(0, 1, 1.5))
    answer = semtune("report", "young")
    assert answer.code == 0
    assert "no trial met the test frames" in answer.out


def test_an_unknown_search_is_answered_with_those_there_are(semtune, finished):
    for command in (["report", "dem"], ["resume", "dem"], ["promote", "dem"], ["sync", "dem"]):
        message = refusal(semtune(*command, "--workspace", finished.path))
        assert "no search named 'dem'" in message
        assert "there are: demo" in message


# The workspace


def test_the_workspace_is_named_before_or_after_the_command_or_in_the_environment(
    semtune, finished, monkeypatch, tmp_path
):
    places = [["--workspace", finished.path, "list"], ["list", "--workspace", finished.path]]
    for command in places:
        assert [each["name"] for each in semtune(*command, "--json").json] == ["demo"]
        os.environ.pop("SEMTUNE_WORKSPACE", None)
    assert semtune("list", "--json").json == []
    monkeypatch.setenv("SEMTUNE_WORKSPACE", str(finished.path))
    assert len(semtune("list", "--json").json) == 1
    assert semtune("list", "--json", "--workspace", tmp_path).json == []


def test_a_score_without_a_frame_is_refused_before_the_champion_is_loaded(semtune, tmp_path):
    assert "no such file or folder" in refusal(semtune("score", "nowhere.png"))
    assert "is not name=number" in refusal(semtune("score", "nowhere.png", "--controls", "focus"))
    assert not (tmp_path / "semtune-workspace").exists()


def test_a_heartbeat_that_would_kill_every_trial_is_refused():
    with pytest.raises(ConfigError, match=r"--heartbeat: '0s' would kill every trial; write e\.g\. 10m"):
        parse_heartbeat("0s")
    with pytest.raises(ConfigError, match=r"--heartbeat: 'soon' is no duration"):
        parse_heartbeat("soon")
    assert parse_heartbeat("10m") == 600


def test_a_wait_that_would_end_every_search_is_refused():
    with pytest.raises(ConfigError, match=r"--wait: '0s' would end every search; write e\.g\. 30m"):
        parse_wait("0s")
    assert parse_wait("2h") == 7200


def test_a_retry_says_what_it_wants_to_be_told(tmp_path):
    with pytest.raises(ConfigError, match="say which trials are to run again: --failed"):
        cli_search.retry("one", workspace=tmp_path)
