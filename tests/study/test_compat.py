"""Private attributes of Optuna that pipeline.study.compat uses: a test names each that an upgrade breaks."""

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from pipeline.study import compat


def test_trial_id_of_frozen_trial_makes_the_added_trial_a_live_one() -> None:
    study = optuna.create_study()
    study.ask()
    running = create_trial(
        state=TrialState.RUNNING, params={"x": 0.5}, distributions={"x": FloatDistribution(0.0, 1.0)}
    )
    study.add_trial(running)
    trial = compat.last_trial(study)
    assert (trial.number, trial.params) == (1, {"x": 0.5}), "FrozenTrial._trial_id"
    study.tell(trial, 2.0)
    assert study.trials[1].value == 2.0, "FrozenTrial._trial_id"


def test_fixed_params_is_the_attribute_of_an_enqueued_trial() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.5})
    study.ask()
    (trial,) = study.trials
    assert trial.system_attrs[compat.FIXED_PARAMS_KEY] == {"x": 0.5}, "system attribute fixed_params"
