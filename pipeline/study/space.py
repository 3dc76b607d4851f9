"""Draws a Model and a Training from a space of values and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import Any, get_type_hints

from optuna.trial import Trial

from pipeline.config.model import Convolutions, FinetuneSpec, Model
from pipeline.config.ranges import Choice, Interval, Range, Setting
from pipeline.config.schema import FinetuneTraining, SearchSpace, Training
from pipeline.config.strict_types import SearchField

MODEL_PARTS = ("hidden", "convolutions", "tail")  # of Model: derived from several settings
CONVOLUTION_KEYS = tuple(f"model.{field.name}" for field in dataclass_fields(Convolutions) if field.name != "channels")
SuggestFunction = Callable[[str, Range], Any]
NO_HIDDEN_LAYERS = Model((), "relu", 0.0)
SIGNIFICANT_DIGITS = 3
HIDDEN_LAYER_KEYS = ("model.layers", "model.nodes", "model.shape")  # their count, widths and profile
CONV_BLOCK_KEYS = ("model.blocks", "model.channels", "model.growth")
WIDTH_KEYS = (*HIDDEN_LAYER_KEYS, *CONV_BLOCK_KEYS)
WIDTH_RULES: Mapping[str, Callable[[int, int], int]] = {  # from the first width and a place to the width there
    "same": lambda first, _: first,
    "taper": lambda first, place: max(1, first >> place),
    "double": lambda first, place: first << place,
}


@dataclass(frozen=True)
class Candidate:
    """What one trial tries.

    fields: every searchable field by its key, as a table shows it: `model.nodes` as "128-64", and "" where a field is
    idle because there is no hidden layer.
    """

    model: Model
    training: Training
    hyperparameters: Mapping[str, Any]

    def to_overrides(self, baseline: Candidate) -> list[str]:
        """What to type for this candidate: its widths, and every field in which it differs from the baseline."""
        widths = [f"model.nodes={format_override_value(self.model.hidden)}"]
        if self.model.convolutions is not None:
            widths.insert(0, f"model.channels={format_override_value(self.model.convolutions.channels)}")
        differing = {
            key: value
            for key, value in self.hyperparameters.items()
            if key not in WIDTH_KEYS and value not in ("", baseline.hyperparameters[key])
        }
        return ["space=none", *widths, *(f"{key}={format_override_value(value)}" for key, value in differing.items())]


def format_override_value(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return str(value)


def has_ranges(space: SearchSpace) -> bool:
    """Whether there is anything to search."""
    return any(isinstance(setting, Range) for setting in space.settings.values())


def count_architectures(space: SearchSpace) -> int:
    """How many different hidden parts of a network the space holds, at most."""
    settings = space.settings
    if isinstance(settings["model.nodes"], tuple):
        return 1
    widths, width_rules = len(_possible_values(settings["model.nodes"])), _possible_values(settings["model.shape"])
    return sum(
        widths**layers if width_rule == "free" else widths ** min(1, layers)
        for layers in _possible_values(settings["model.layers"])
        for width_rule in (width_rules if layers else width_rules[:1])
    )


def _possible_values(setting: Setting) -> Sequence[Any]:
    """Every whole number or word that a setting may come to."""
    if isinstance(setting, Interval):
        return range(int(setting.low), int(setting.high) + 1, int(setting.step or 1))
    return setting.options if isinstance(setting, Choice) else (setting,)


def sample_candidate(space: SearchSpace, suggest: SuggestFunction) -> Candidate:
    """A candidate; `suggest` is asked for a value of each range that is not idle, in a fixed order."""

    def resolve(key: str) -> Any:
        setting = space.settings[key]
        return suggest(key, setting) if isinstance(setting, Range) else setting

    width_rules: dict[str, str] = {}
    convolutions = None
    if "model.channels" in space.settings:
        channels, width_rules["model.growth"] = _sample_widths(space, suggest, resolve, *CONV_BLOCK_KEYS)
        convolutions = _build_convolutions(
            channels, {key: resolve(key) for key in CONVOLUTION_KEYS if key in space.settings}
        )
    hidden, width_rules["model.shape"] = _sample_widths(space, suggest, resolve, *HIDDEN_LAYER_KEYS)
    model = replace(NO_HIDDEN_LAYERS, hidden=hidden, convolutions=convolutions, tail=_finetune_spec(space.settings))
    active = {name: resolve(key) for name, key in _active_fields(model).items() if key in space.settings}
    model = replace(model, **active)
    training = _build_training({key: resolve(key) for key in space.settings if key.startswith("training.")})
    hyperparameters = _collect_hyperparameters(model, training, width_rules)
    return Candidate(model, training, {key: value for key, value in hyperparameters.items() if key in space.settings})


@cache
def _model_fields() -> dict[str, SearchField]:
    """Return what the fields of Model that are searched one by one say about themselves, by name."""
    hints = get_type_hints(Model, include_extras=True)
    found = {
        name: [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, SearchField)]
        for name, hint in hints.items()
        if name not in MODEL_PARTS
    }
    return {name: metadata[0] if metadata else SearchField() for name, metadata in found.items()}


def _active_fields(model: Model) -> dict[str, str]:
    """Return the keys of the fields of Model that have an effect beside its layers and blocks, by name."""
    return {
        name: f"model.{name}"
        for name, field in _model_fields().items()
        if not field.active_with or any(getattr(model, part) for part in field.active_with)
    }


def _build_convolutions(channels: tuple[int, ...], settings: Mapping[str, Any]) -> Convolutions:
    values = {key.removeprefix("model."): settings[key] for key in CONVOLUTION_KEYS if key in settings}
    return Convolutions(channels, **values)


def _finetune_spec(settings: Mapping[str, Any]) -> FinetuneSpec | None:
    """What of the backbone is trained along: the same in all trials of a search."""
    return (
        FinetuneSpec(settings["model.backbone"], settings["model.finetune"]) if "model.finetune" in settings else None
    )


def _build_training(settings: Mapping[str, Any]) -> Training:
    """From fields by their keys; those of others are passed over."""
    training_values = {
        key.removeprefix("training."): value for key, value in settings.items() if key.startswith("training.")
    }
    finetune_values = {
        field.name: training_values.pop(field.name)
        for field in dataclass_fields(FinetuneTraining)
        if field.name in training_values
    }
    return Training(**training_values, finetuning=FinetuneTraining(**finetune_values) if finetune_values else None)


def without_ranges(space: SearchSpace) -> Candidate:
    """The candidate of a space that holds no range."""

    def suggest(key: str, _: Range) -> Any:
        raise AssertionError(f"{key} is a range")

    return sample_candidate(space, suggest)


def from_hyperparameters(hyperparameters: Mapping[str, Any]) -> Candidate:
    """The candidate that has these fields."""
    hidden = _parse_widths(hyperparameters["model.nodes"])
    channels = _parse_widths(hyperparameters.get("model.channels", ""))
    convolutions = _build_convolutions(channels, hyperparameters) if channels else None
    model = replace(NO_HIDDEN_LAYERS, hidden=hidden, convolutions=convolutions, tail=_finetune_spec(hyperparameters))
    active = {name: hyperparameters[key] for name, key in _active_fields(model).items() if key in hyperparameters}
    return Candidate(replace(model, **active), _build_training(hyperparameters), hyperparameters)


def _parse_widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split("-") if width)


def _sample_widths(
    space: SearchSpace,
    suggest: SuggestFunction,
    resolve: Callable[[str], Any],
    count_key: str,
    width_key: str,
    rule_key: str,
) -> tuple[tuple[int, ...], str]:
    """The widths of hidden layers or blocks, and the way they were drawn by ("" where that is idle)."""
    setting = space.settings[width_key]
    if isinstance(setting, tuple):
        return setting, ""
    positions = range(resolve(count_key))
    if not positions:
        return (), ""

    def sample_width(position: int) -> int:
        return int(suggest(f"{width_key}.{position}", setting) if isinstance(setting, Range) else setting)

    width_rule = resolve(rule_key)
    if width_rule == "free":
        return tuple(sample_width(place) for place in positions), width_rule
    first_width = sample_width(0)
    return tuple(WIDTH_RULES[width_rule](first_width, place) for place in positions), width_rule


def _collect_hyperparameters(model: Model, training: Training, width_rules: Mapping[str, str]) -> dict[str, Any]:
    blocks: dict[str, Any] = {}
    if model.convolutions is not None:
        blocks = {
            "model.blocks": len(model.convolutions.channels),
            "model.channels": "-".join(map(str, model.convolutions.channels)),
            "model.growth": width_rules["model.growth"],
            **{key: getattr(model.convolutions, key.removeprefix("model.")) for key in CONVOLUTION_KEYS},
        }
    active = _active_fields(model)
    training_values = asdict(training)
    training_values |= training_values.pop("finetuning") or {}
    finetune = model.tail
    finetune_values = {} if finetune is None else {"model.backbone": finetune.backbone, "model.finetune": finetune.part}
    return {
        **finetune_values,
        **blocks,
        "model.layers": len(model.hidden),
        "model.nodes": "-".join(map(str, model.hidden)),
        "model.shape": width_rules["model.shape"],
        **{f"model.{name}": getattr(model, name) if name in active else "" for name in _model_fields()},
        **{f"training.{name}": value for name, value in training_values.items()},
    }


def optuna_suggester(trial: Trial) -> SuggestFunction:
    """Asks Optuna; a choice of numbers is drawn by its place in their order, so that neighbours count as near."""

    def suggest(key: str, setting: Range) -> Any:
        if isinstance(setting, Interval):
            return _suggest_from_interval(trial, key, setting)
        if _is_numeric(setting):
            return sorted(setting.options)[trial.suggest_int(key, 0, len(setting.options) - 1)]
        return trial.suggest_categorical(key, setting.options)

    return suggest


def _suggest_from_interval(trial: Trial, key: str, interval: Interval) -> float:
    if isinstance(interval.low, int) and isinstance(interval.high, int):
        return trial.suggest_int(key, interval.low, interval.high, log=interval.log, step=int(interval.step or 1))
    value = trial.suggest_float(key, interval.low, interval.high, log=interval.log, step=interval.step)
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")  # nobody wants to type 17 digits, and the winner is typed
    return min(max(rounded, interval.low), interval.high)


def _is_numeric(choice: Choice) -> bool:
    return all(isinstance(option, int | float) and not isinstance(option, bool) for option in choice.options)


def to_optuna_params(space: SearchSpace, candidate: Candidate) -> dict[str, Any] | None:
    """The candidate as Optuna's parameters of this space; None where it lies outside."""
    params: dict[str, Any] = {}
    convolutions, hidden = candidate.model.convolutions, candidate.model.hidden
    values = {
        key: value for key, value in candidate.hyperparameters.items() if key not in ("model.nodes", "model.channels")
    }
    values |= {f"model.nodes.{layer}": width for layer, width in enumerate(hidden)}
    values |= {
        f"model.channels.{block}": width for block, width in enumerate(convolutions.channels if convolutions else ())
    }

    def suggest(key: str, setting: Range) -> Any:
        value = values[key]
        if value not in setting:
            raise LookupError(key)
        is_numeric = isinstance(setting, Choice) and _is_numeric(setting)
        params[key] = sorted(setting.options).index(value) if is_numeric and isinstance(setting, Choice) else value
        return value

    try:
        sampled = sample_candidate(space, suggest)
    except LookupError:
        return None
    return params if (sampled.model, sampled.training) == (candidate.model, candidate.training) else None
