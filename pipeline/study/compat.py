"""Private attributes of Optuna that this package uses; tests/study/test_compat.py names each."""

import optuna
from optuna.trial import Trial

FIXED_PARAMS_KEY = "fixed_params"  # system attribute of a trial that `enqueue_trial` has added


def last_trial(study: optuna.Study) -> Trial:
    """Return the live trial of the last one added: `add_trial` returns none, and a Trial needs the private id."""
    return Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)
