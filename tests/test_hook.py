"""The command hook: told by the environment, never by a shell, and never a reason to fail."""

import sys
import time

import pytest
from small_workspace import append, plan_small_search, write_small_search

from semtune import cli_ending
from semtune.cli_ending import observed
from semtune.errors import ConfigError, StorageError
from semtune.hook import parse_command, run_hook
from semtune.journal import SearchClosed, SearchOpened, read_record
from semtune.session import Outcome
from semtune.workspace import Workspace

SAY = "import os, sys; open(sys.argv[1], 'w').write('|'.join(os.environ[n] for n in sys.argv[2:]))"
TOLD = (
    "SEMTUNE_SEARCH",
    "SEMTUNE_STATE",
    "SEMTUNE_MESSAGE",
    "SEMTUNE_BEST_TRIAL",
    "SEMTUNE_BEST_VALIDATION_RMSE",
)


@pytest.fixture
def place(tmp_path, small_dataset):
    workspace = Workspace(tmp_path / "workspace")
    write_small_search(workspace, small_dataset, "demo")
    return workspace


def test_a_command_is_split_into_words_and_nothing_is_expanded():
    assert parse_command(f"{sys.executable} -c 'a b' $HOME;*") == (sys.executable, "-c", "a b", "$HOME;*")


@pytest.mark.parametrize("text", ["", "no-such-program x", "'open"])
def test_a_command_that_cannot_run_is_refused_before_the_search(text):
    with pytest.raises(ConfigError, match="--on-end: "):
        parse_command(text)


def test_what_a_message_says_is_never_a_command(tmp_path):
    evil = f"$(touch {tmp_path / 'evil'}); `touch {tmp_path / 'evil'}`"
    out = tmp_path / "out"
    assert (
        run_hook((sys.executable, "-c", SAY, str(out), "SEMTUNE_MESSAGE"), {"SEMTUNE_MESSAGE": evil}) is None
    )
    assert out.read_text() == evil
    assert not (tmp_path / "evil").exists()


def test_a_command_that_fails_or_hangs_is_told_and_no_more(monkeypatch):
    assert run_hook((sys.executable, "-c", "raise SystemExit(3)"), {}) == "it ended with 3"
    assert run_hook(("/nonexistent/program",), {}) == "No such file or directory"
    monkeypatch.setattr("semtune.hook._SECONDS", 0.2)
    start = time.monotonic()
    assert "killed" in run_hook((sys.executable, "-c", "import time; time.sleep(30)"), {})
    assert time.monotonic() - start < 10


def test_the_hook_is_told_how_a_search_ended_and_which_trial_is_best(place, tmp_path):
    record = read_record(place.search("demo").journal)
    out = tmp_path / "out"
    hook = (sys.executable, "-c", SAY, str(out), *TOLD)

    def work(observe):
        observe(SearchOpened(pid=1, host="h"))
        return Outcome("finished", "", record)

    assert observed(place, "demo", False, hook, work).state == "finished"
    assert out.read_text() == "demo|finished||trial-0000|0.6000"


def test_the_hook_hears_of_a_search_that_broke_not_of_one_that_never_began(place, tmp_path, small_dataset):
    folder, _ = plan_small_search(place, small_dataset, "broke")
    out = tmp_path / "out"
    hook = (sys.executable, "-c", SAY, str(out), *TOLD)

    def refused(observe):
        raise ConfigError("wrong")

    with pytest.raises(ConfigError):
        observed(place, "broke", False, hook, refused)
    assert not out.exists()

    def broken(observe):
        append(folder, SearchOpened(pid=1, host="h"), SearchClosed(state="failed", message="why"))
        observe(SearchOpened(pid=1, host="h"))
        raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        observed(place, "broke", False, hook, broken)
    assert out.read_text() == "broke|failed|the disk is full||"


def test_a_failing_hook_is_a_warning_that_says_what_to_do(place, caplog):
    outcome = Outcome("finished", "", read_record(place.search("demo").journal))
    hook = (sys.executable, "-c", "raise SystemExit(3)")

    def work(observe):
        observe(SearchOpened(pid=1, host="h"))
        return outcome

    assert observed(place, "demo", True, hook, work) is outcome
    assert "ended with 3; run it by hand" in caplog.text


def test_a_quiet_search_says_nothing_when_it_is_done(place, capsys, monkeypatch):
    monkeypatch.setenv("SEMTUNE_QUIET", "1")
    outcome = Outcome("finished", "", read_record(place.search("demo").journal))
    observed(place, "demo", False, (), lambda observe: outcome)
    cli_ending.conclude(outcome, "demo", as_json=False)
    assert capsys.readouterr().out == ""
