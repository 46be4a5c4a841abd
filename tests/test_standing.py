"""What is kept up to date by events equals its plain definition, a look through all trials."""

from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from test_director import STRATIFIED, TOGETHER, Play

from semtune.journal import RepeatAsked
from semtune.search.judgement import epochs_of, is_open, rank
from semtune.search.standing import Standing

FATES = ("goes on",) * 20 + ("error", "out_of_memory", "dies", "stop", "interrupt", "new process", "retry")


def check(standing, record, strata):
    """Compare every answer with a look through all trials."""
    searched = [trial for trial in record.trials.values() if trial.started.reseeds is None]
    assert list(standing.open.values()) == [trial for trial in searched if is_open(trial)]
    counted = Counter(trial.started.stratum for trial in searched if trial.started.repeats is None)
    assert +standing.proposed == counted
    assert standing.fresh == [trial for trial in record.trials.values() if trial.started.reseeds]
    assert standing.failures == len(record.open_failures)
    for stratum in strata:
        able = [t for t in searched if t.started.stratum == stratum and t.epochs]
        able = [trial for trial in able if not trial.failed and trial.reason != "stopped"]
        ranked = sorted(able, key=rank)
        assert standing.best(stratum, len(searched), set()) == ranked
        without = {trial.name for trial in ranked[::2]}
        assert standing.best(stratum, 2, without) == ranked[1::2][:2]


def meet(play, order, fate):
    """Let something happen to a trial at work."""
    if fate in ("error", "out_of_memory"):
        play.end(order, fate)
    elif fate == "dies":
        del play.running[order]
        play.director.died(order.trial, "lost", "the process died")
    elif fate == "stop":
        play.director.stop(order.trial)
    elif fate == "new process":
        play.take_up()
    elif fate == "retry":
        for trial in play.record.open_failures:
            play.write(RepeatAsked(trial=trial.name, epochs=epochs_of(trial)))
        play.take_up()
    else:
        if fate == "interrupt":
            play.director.interrupt()
        play.step(order)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([STRATIFIED, TOGETHER]),
    st.integers(2, 10),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_where_trials_stand_is_what_a_look_through_all_of_them_finds(text, trials, finalists, seeds, chances):
    chance, text = Random(chances), text.replace("trials: 6", "sampler: random")
    values = [chance.choice([1.0, 1.5, 2.0, 3.0]) for _ in range(50)]  # with ties

    def curve(trial, epoch):
        return values[(7 * int(trial[-4:]) + epoch) % 50]

    wanted = {"trials": trials, "finalists": finalists, "seeds": seeds, "max_failures": trials}
    with TemporaryDirectory() as folder:
        play = Play(Path(folder), text, curve, **wanted)
        for _ in range(60):
            play.fill(workers=3)
            if not play.running:
                if not play.director.interrupted:
                    break
                play.take_up()
            for order in list(play.running):
                if order in play.running:
                    meet(play, order, chance.choice(FATES))
                check(play.director.standing, play.record, play.director.space.strata)
            check(Standing(play.record), play.record, play.director.space.strata)
