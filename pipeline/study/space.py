"""Sample a Model and a Training from a space of values and ranges, and restore them from a table of trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, get_type_hints

from optuna.trial import Trial

from pipeline.config.model import ConvBlockSpace, Convolutions, FinetuneSpec, HiddenLayerSpace, Model
from pipeline.config.ranges import Choice, Interval, Range, Setting
from pipeline.config.schema import FinetuneTraining, SearchSpace, Training
from pipeline.config.strict_types import SearchField

SuggestFunction = Callable[[str, Range], Any]
NO_HIDDEN_LAYERS = Model((), "relu", 0.0)
SIGNIFICANT_DIGITS = 3


class WidthKeys(NamedTuple):
    """Keys of the settings that determine widths: their number, the width, and the rule from one width to the next."""

    number: str
    width: str
    rule: str


CONV_BLOCKS, HIDDEN_LAYERS = WIDTH_GROUPS = [
    WidthKeys(*(f"model.{field.name}" for field in fields(space)[:3])) for space in (ConvBlockSpace, HiddenLayerSpace)
]
WIDTH_KEYS = (*CONV_BLOCKS, *HIDDEN_LAYERS)
WIDTH_RULES: Mapping[str, Callable[[int, int], int]] = {  # from the first width and a position to the width there
    "same": lambda first, _: first,
    "taper": lambda first, position: max(1, first >> position),
    "double": lambda first, position: first << position,
}
ACTIVE_WITH = {  # a setting has an effect if one of these fields of the model is set
    f"model.{name}": metadata.active_with
    for name, hint in get_type_hints(Model, include_extras=True).items()
    for metadata in getattr(hint, "__metadata__", ())
    if isinstance(metadata, SearchField)
}


@dataclass(frozen=True)
class Candidate:
    """The hyperparameters of one trial.

    hyperparameters: the value of each setting by its key, as a table shows it: `model.nodes` as "128-64", and "" for a
    setting that has no effect, such as the dropout without a hidden layer.
    """

    model: Model
    training: Training
    hyperparameters: Mapping[str, Any]

    def to_overrides(self, baseline: Candidate) -> list[str]:
        """Return the overrides for this candidate: its widths, and each setting that differs from the baseline."""
        values = self.hyperparameters
        widths = {keys.width: _parse_widths(values[keys.width]) for keys in WIDTH_GROUPS if keys.width in values}
        others = {key: value for key, value in values.items() if key not in WIDTH_KEYS}
        differing = {key: value for key, value in others.items() if value not in ("", baseline.hyperparameters[key])}
        return ["space=none", *(f"{key}={format_override_value(value)}" for key, value in (widths | differing).items())]


def format_override_value(value: Any) -> str:
    """Format a value as on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return str(value)


def has_ranges(space: SearchSpace) -> bool:
    """Return whether any setting is a range."""
    return any(isinstance(setting, Range) for setting in space.settings.values())


def count_architectures(space: SearchSpace) -> int:
    """Return an upper bound of the number of different hidden layers in the space."""
    counts, widths, rules = (space.settings[key] for key in HIDDEN_LAYERS)
    if isinstance(widths, tuple):
        return 1
    n_widths = len(_possible_values(widths))
    return sum(
        n_widths**count if rule == "free" else n_widths ** min(1, count)
        for count in _possible_values(counts)
        for rule in (_possible_values(rules) if count else ("free",))
    )


def _possible_values(setting: Setting) -> Sequence[Any]:
    if isinstance(setting, Interval):
        return range(int(setting.low), int(setting.high) + 1, int(setting.step or 1))
    return setting.options if isinstance(setting, Choice) else (setting,)


def sample_candidate(space: SearchSpace, suggest: SuggestFunction) -> Candidate:
    """Return a candidate; `suggest` gives a value for each range that has an effect, in the order of the settings."""
    values: dict[str, Any] = {}

    def resolve(key: str, name: str = "") -> Any:
        setting = space.settings[key]
        return suggest(name or key, setting) if isinstance(setting, Range) else setting

    groups = {keys.number: keys for keys in WIDTH_GROUPS}
    for key in space.settings:
        if key in groups:
            values |= _sample_widths(groups[key], space.settings[groups[key].width], resolve)
        elif key not in values:
            active_with = ACTIVE_WITH.get(key)
            is_active = not active_with or any(values.get(f"model.{name}") for name in active_with)
            values[key] = resolve(key) if is_active else ""
    return from_hyperparameters({key: values[key] for key in space.settings})


def _sample_widths(keys: WidthKeys, width_setting: Setting, resolve: Callable[..., Any]) -> dict[str, Any]:
    """Return the three values of hidden layers or blocks, as a table shows them; the rule is "" without an effect."""
    rule = ""
    widths: Sequence[int] = ()
    if isinstance(width_setting, tuple):
        widths = width_setting
    elif number := resolve(keys.number):
        rule = resolve(keys.rule)
        n_sampled = number if rule == "free" else 1
        widths = [int(resolve(keys.width, f"{keys.width}.{position}")) for position in range(n_sampled)]
        if rule != "free":
            widths = [WIDTH_RULES[rule](widths[0], position) for position in range(number)]
    return {keys.number: len(widths), keys.width: "-".join(map(str, widths)), keys.rule: rule}


def _parse_widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in text.split("-") if width)


def without_ranges(space: SearchSpace) -> Candidate:
    """Return the candidate of a space without ranges."""

    def suggest(key: str, _: Range) -> Any:
        raise AssertionError(f"{key} is a range")

    return sample_candidate(space, suggest)


def from_hyperparameters(hyperparameters: Mapping[str, Any]) -> Candidate:
    """Return the candidate with these hyperparameters; one without an effect, or absent, has its default."""

    def pick(section: str, section_class: type) -> dict[str, Any]:
        keys = {field.name: f"{section}.{field.name}" for field in fields(section_class)}
        return {name: hyperparameters[key] for name, key in keys.items() if hyperparameters.get(key, "") != ""}

    channels = _parse_widths(hyperparameters.get(CONV_BLOCKS.width, ""))
    part = hyperparameters.get("model.finetune")
    finetuning = pick("training", FinetuneTraining)
    model = replace(
        NO_HIDDEN_LAYERS,
        hidden=_parse_widths(hyperparameters[HIDDEN_LAYERS.width]),
        convolutions=Convolutions(**pick("model", Convolutions) | {"channels": channels}) if channels else None,
        tail=FinetuneSpec(hyperparameters["model.backbone"], part) if part else None,
        **pick("model", Model),
    )
    training = Training(**pick("training", Training), finetuning=FinetuneTraining(**finetuning) if finetuning else None)
    return Candidate(model, training, hyperparameters)


def optuna_suggester(trial: Trial) -> SuggestFunction:
    """Return a function that samples with Optuna: a choice of numbers by rank, so that neighbours are close."""

    def suggest(key: str, setting: Range) -> Any:
        if isinstance(setting, Choice):
            if _are_numbers(setting.options):
                return sorted(setting.options)[trial.suggest_int(key, 0, len(setting.options) - 1)]
            return trial.suggest_categorical(key, setting.options)
        low = setting.low
        high = setting.high
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, log=setting.log, step=int(setting.step or 1))
        value = trial.suggest_float(key, low, high, log=setting.log, step=setting.step)
        rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")  # nobody wants to type 17 digits, and the winner is typed
        return min(max(rounded, low), high)

    return suggest


def _are_numbers(options: Sequence[Any]) -> bool:
    return all(isinstance(option, int | float) and not isinstance(option, bool) for option in options)


def to_optuna_params(space: SearchSpace, candidate: Candidate) -> dict[str, Any] | None:
    """Return the candidate as Optuna's parameters of this space, or None if it lies outside."""
    params: dict[str, Any] = {}
    values = dict(candidate.hyperparameters)
    for keys in WIDTH_GROUPS:
        for position, width in enumerate(_parse_widths(values.get(keys.width, ""))):
            values[f"{keys.width}.{position}"] = width

    def suggest(key: str, setting: Range) -> Any:
        value = values[key]
        if value not in setting:
            raise LookupError(key)
        options = setting.options if isinstance(setting, Choice) else ()
        params[key] = sorted(options).index(value) if options and _are_numbers(options) else value
        return value

    try:
        sampled = sample_candidate(space, suggest)
    except LookupError:
        return None
    return params if (sampled.model, sampled.training) == (candidate.model, candidate.training) else None
