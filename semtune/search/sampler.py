"""Proposes hyperparameters with Optuna and tells the study the truth about every trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.storages import BaseStorage
from optuna.trial import Trial, TrialState

from semtune.journal import FAILURES, StopReason
from semtune.search.line import Parameter, Value
from semtune.search.space import SearchSpace

_NAME = "semtune_trial"  # user attribute of an Optuna trial: the name of ours


class Sampler:
    """One Optuna study of one stratum.

    Args:
        space: What may be tried.
        storage: Where the study is kept, with those of other strata. None keeps it in memory.
        study: Name of the study.
        fixed: Hyperparameters that the stratum fixes.
        seed: Seed of the proposals.
    """

    def __init__(
        self,
        space: SearchSpace,
        storage: BaseStorage | None,
        study: str,
        fixed: Mapping[str, Value],
        seed: int,
    ) -> None:
        optuna.logging.set_verbosity(logging.WARNING)
        self._space = space
        self._fixed = dict(fixed)
        self._study = optuna.create_study(
            study_name=study,
            storage=storage,
            direction="minimize",
            load_if_exists=True,
        )
        known = self._study.get_trials(deepcopy=False)
        before = storage.get_n_trials(self._study._study_id) if storage else 0
        # A study that is taken up again must not draw the random numbers of its first session again.
        session_seed = int(np.random.SeedSequence([seed, before]).generate_state(1)[0])
        self._study.sampler = _sampler(space, session_seed)
        running = {
            str(trial.user_attrs[_NAME]): trial
            for trial in known
            if trial.state == TrialState.RUNNING and _NAME in trial.user_attrs
        }
        self._asked = {name: Trial(self._study, trial._trial_id) for name, trial in running.items()}
        self._told = {name: trial.last_step or 0 for name, trial in running.items()}
        # The process died between the asking and the naming.
        self._nameless = [
            Trial(self._study, trial._trial_id)
            for trial in known
            if trial.state == TrialState.RUNNING and _NAME not in trial.user_attrs
        ]
        if space.settings.first and not before:
            self._study.enqueue_trial(space.settings.first)

    def propose(self, trial: str, given: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """Choose the hyperparameters of a new trial; what the space leaves out is left out here too.

        A trial that was proposed to a process that then died is proposed again as it was.

        Args:
            trial: Its name.
            given: Hyperparameters that it is to have; by default they are drawn.
        """
        asked = self._asked.get(trial) or self._ask(given)
        chosen: dict[str, Value] = {}
        for parameter in self._space.parameters:
            value = self._choose(asked, parameter, chosen)
            if value is not None:
                chosen[parameter.name] = value
        asked.set_user_attr(_NAME, trial)
        self._asked[trial] = asked
        return chosen

    def _ask(self, given: Mapping[str, Value] | None) -> Trial:
        if given is None:
            return self._nameless.pop() if self._nameless else self._study.ask()
        # One that waits already was left by a process that died before it asked.
        if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            searched = {line.name for line in self._space.parameters} - self._fixed.keys()
            known = {name: value for name, value in given.items() if name in searched and value is not None}
            self._study.enqueue_trial(known)
        return self._study.ask()

    def _choose(self, asked: Trial, parameter: Parameter, chosen: Mapping[str, Value]) -> Value:
        if parameter.name in self._fixed:
            return self._fixed[parameter.name]
        if not parameter.holds(chosen):
            return parameter.otherwise
        return suggest(asked, parameter)

    def report(self, trial: str, epoch: int, validation_rmse: float) -> None:
        """Tell an intermediate value; an epoch that was told before is left as it is."""
        if trial in self._asked and epoch > self._told.get(trial, 0):
            self._asked[trial].report(validation_rmse, epoch)
            self._told[trial] = epoch

    def tell(self, trial: str, reason: StopReason, validation_rmse: float | None) -> None:
        """Tell how a trial ended: complete, pruned or failed; an interrupted one stays open."""
        asked = self._asked.get(trial)
        if asked is None or reason == "interrupted":
            return
        if reason == "epochs" and validation_rmse is not None:
            self._study.tell(asked, validation_rmse)
        else:
            state = TrialState.FAIL if reason in FAILURES else TrialState.PRUNED
            self._study.tell(asked, state=state)
        del self._asked[trial]


def suggest(asked: Trial, parameter: Parameter) -> Value:
    """Draw one hyperparameter from its distribution."""
    if parameter.distribution == "value":
        return parameter.values[0]
    if parameter.distribution == "choice":
        choice: Value = asked.suggest_categorical(parameter.name, list(parameter.values))
        return choice
    low, high = (float(str(bound)) for bound in parameter.values)
    if parameter.distribution == "int_uniform":
        return asked.suggest_int(parameter.name, int(low), int(high))
    return asked.suggest_float(parameter.name, low, high, log=parameter.distribution == "log_uniform")


def _sampler(space: SearchSpace, seed: int) -> optuna.samplers.BaseSampler:
    if space.settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_startup(space))


def _startup(space: SearchSpace) -> int:
    """Random trials before TPE starts: a quarter of a stratum's share, between 3 and Optuna's own 10."""
    return min(10, max(3, space.settings.trials // len(space.strata) // 4))
