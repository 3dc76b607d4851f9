"""Draws a Model and a Training from a space of values and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import Trial

from pipeline.config.ranges import Choice, Interval, Range, Setting
from pipeline.config.schema import Model, Space, Training

Suggest = Callable[[str, Range], Any]
NO_HIDDEN = Model((), "relu", 0.0)
DIGITS = 3
WIDTHS = ("model.layers", "model.nodes", "model.shape")


@dataclass(frozen=True)
class Candidate:
    """What one trial tries.

    fields: every searchable field by its key, as a table shows it: `model.nodes` as "128-64", and "" where a field is
    idle because there is no hidden layer.
    """

    model: Model
    training: Training
    fields: Mapping[str, Any]

    def overrides(self, baseline: Candidate) -> list[str]:
        """What to type for this candidate: its widths, and every field in which it differs from the baseline."""
        nodes = ",".join(map(str, self.model.hidden))
        differing = {
            key: value
            for key, value in self.fields.items()
            if key not in WIDTHS and value not in ("", baseline.fields[key])
        }
        return ["space=none", f"model.nodes=[{nodes}]", *(f"{key}={typed(value)}" for key, value in differing.items())]


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def has_ranges(space: Space) -> bool:
    """Whether there is anything to search."""
    return any(isinstance(setting, Range) for setting in space.settings.values())


def shapes(space: Space) -> int:
    """How many different hidden parts of a network the space holds, at most."""
    settings = space.settings
    if isinstance(settings["model.nodes"], tuple):
        return 1
    widths, ways = len(_values(settings["model.nodes"])), _values(settings["model.shape"])
    return sum(
        widths**layers if way == "free" else widths ** min(1, layers)
        for layers in _values(settings["model.layers"])
        for way in (ways if layers else ways[:1])
    )


def _values(setting: Setting) -> Sequence[Any]:
    """Every whole number or word that a setting may come to."""
    if isinstance(setting, Interval):
        return range(int(setting.low), int(setting.high) + 1, int(setting.step or 1))
    return setting.options if isinstance(setting, Choice) else (setting,)


def draw(space: Space, suggest: Suggest) -> Candidate:
    """A candidate; `suggest` is asked for a value of each range that is not idle, in a fixed order."""

    def drawn(key: str) -> Any:
        setting = space.settings[key]
        return suggest(key, setting) if isinstance(setting, Range) else setting

    hidden, shape = _hidden(space, suggest, drawn)
    model = Model(hidden, drawn("model.activation"), drawn("model.dropout")) if hidden else NO_HIDDEN
    keys = [key for key in space.settings if key.startswith("training.")]
    training = Training(**{key.removeprefix("training."): drawn(key) for key in keys})
    return Candidate(model, training, _fields(model, training, shape))


def fixed(space: Space) -> Candidate:
    """The candidate of a space that holds no range."""

    def suggest(key: str, _: Range) -> Any:
        raise AssertionError(f"{key} is a range")

    return draw(space, suggest)


def restored(fields: Mapping[str, Any]) -> Candidate:
    """The candidate that has these fields."""
    hidden = tuple(int(width) for width in fields["model.nodes"].split("-") if width)
    model = Model(hidden, fields["model.activation"], fields["model.dropout"]) if hidden else NO_HIDDEN
    named = {key.removeprefix("training."): value for key, value in fields.items() if key.startswith("training.")}
    return Candidate(model, Training(**named), fields)


def _hidden(space: Space, suggest: Suggest, drawn: Callable[[str], Any]) -> tuple[tuple[int, ...], str]:
    """The widths of the hidden layers, and the shape they were drawn by ("" where that is idle)."""
    nodes = space.settings["model.nodes"]
    if isinstance(nodes, tuple):
        return nodes, ""
    layers = drawn("model.layers")
    if layers == 0:
        return (), ""
    shape = drawn("model.shape")

    def width(layer: int) -> int:
        return int(suggest(f"model.nodes.{layer}", nodes) if isinstance(nodes, Range) else nodes)

    if shape == "free":
        return tuple(width(layer) for layer in range(layers)), shape
    first = width(0)
    return tuple(max(1, first >> layer) if shape == "taper" else first for layer in range(layers)), shape


def _fields(model: Model, training: Training, shape: str) -> dict[str, Any]:
    idle = not model.hidden
    return {
        "model.layers": len(model.hidden),
        "model.nodes": "-".join(map(str, model.hidden)),
        "model.shape": shape,
        "model.activation": "" if idle else model.activation,
        "model.dropout": "" if idle else model.dropout,
        **{f"training.{name}": value for name, value in asdict(training).items()},
    }


def suggester(trial: Trial) -> Suggest:
    """Asks Optuna; a choice of numbers is drawn by its place in their order, so that neighbours count as near."""

    def suggest(key: str, setting: Range) -> Any:
        if isinstance(setting, Interval):
            return _from_interval(trial, key, setting)
        if _ordered(setting):
            return sorted(setting.options)[trial.suggest_int(key, 0, len(setting.options) - 1)]
        return trial.suggest_categorical(key, setting.options)

    return suggest


def _from_interval(trial: Trial, key: str, interval: Interval) -> float:
    if isinstance(interval.low, int) and isinstance(interval.high, int):
        return trial.suggest_int(key, interval.low, interval.high, log=interval.log, step=int(interval.step or 1))
    drawn = trial.suggest_float(key, interval.low, interval.high, log=interval.log, step=interval.step)
    readable = float(f"{drawn:.{DIGITS}g}")  # nobody wants to type 17 digits, and the winner is typed
    return min(max(readable, interval.low), interval.high)


def _ordered(choice: Choice) -> bool:
    return all(isinstance(option, int | float) and not isinstance(option, bool) for option in choice.options)


def parameters(space: Space, candidate: Candidate) -> dict[str, Any] | None:
    """The candidate as Optuna's parameters of this space; None where it lies outside."""
    found: dict[str, Any] = {}
    values = {key: value for key, value in candidate.fields.items() if key != "model.nodes"}
    values |= {f"model.nodes.{layer}": width for layer, width in enumerate(candidate.model.hidden)}

    def suggest(key: str, setting: Range) -> Any:
        value = values[key]
        if value not in setting:
            raise LookupError(key)
        ordered = isinstance(setting, Choice) and _ordered(setting)
        found[key] = sorted(setting.options).index(value) if ordered and isinstance(setting, Choice) else value
        return value

    try:
        drawn = draw(space, suggest)
    except LookupError:
        return None
    return found if (drawn.model, drawn.training) == (candidate.model, candidate.training) else None
