"""The samplers, pruners and optimizers that a configuration may name: an entry each, from which its class is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sampler:
    """A class of `optuna.samplers`, its keyword arguments besides `seed`, and whether it uses earlier results."""

    name: str
    optuna_class: str
    uses_results: bool
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Pruner:
    """A class of `optuna.pruners`, and its keyword arguments for a number of warm-up epochs.

    prunes: whether it ends any trial. compares_running_trials: whether it uses trials that have not finished;
    the result then depends on which worker is faster, so that a search has one worker and one trial at a time.
    """

    name: str
    optuna_class: str
    arguments: Callable[[int], Mapping[str, Any]] = field(repr=False)
    prunes: bool = True
    compares_running_trials: bool = False


OPTIMIZERS: Mapping[str, str] = {"adamw": "AdamW", "sgd": "SGD"}  # the class of `torch.optim` of each
SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("tpe", "TPESampler", uses_results=True),
        Sampler("random", "RandomSampler", uses_results=False),
        Sampler("gp", "GPSampler", uses_results=True, arguments={"warn_independent_sampling": False}),
    )
}
PRUNERS: Mapping[str, Pruner] = {
    pruner.name: pruner
    for pruner in (
        Pruner("median", "MedianPruner", lambda warmup: {"n_startup_trials": 4, "n_warmup_steps": warmup}),
        Pruner(
            "asha",
            "SuccessiveHalvingPruner",
            lambda warmup: {"min_resource": warmup, "reduction_factor": 3},
            compares_running_trials=True,
        ),
        Pruner("none", "NopPruner", lambda _: {}, prunes=False),
    )
}
