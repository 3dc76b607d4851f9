"""Draws a Model and a Training from a space of values and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from optuna.trial import Trial

from pipeline.config.model import Convolutions, Model, Tail
from pipeline.config.ranges import Choice, Interval, Range, Setting
from pipeline.config.schema import Space, Training, Tuning

Suggest = Callable[[str, Range], Any]
NO_HIDDEN = Model((), "relu", 0.0)
DIGITS = 3
LAYERS = ("model.layers", "model.nodes", "model.shape")  # how many, how wide each, and how they follow one another
BLOCKS = ("model.blocks", "model.channels", "model.growth")
WIDTHS = (*LAYERS, *BLOCKS)
FOLLOWING: Mapping[str, Callable[[int, int], int]] = {  # from the first width and a place to the width there
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
    fields: Mapping[str, Any]

    def overrides(self, baseline: Candidate) -> list[str]:
        """What to type for this candidate: its widths, and every field in which it differs from the baseline."""
        widths = [f"model.nodes={typed(self.model.hidden)}"]
        if self.model.convolutions is not None:
            widths.insert(0, f"model.channels={typed(self.model.convolutions.channels)}")
        differing = {
            key: value
            for key, value in self.fields.items()
            if key not in WIDTHS and value not in ("", baseline.fields[key])
        }
        return ["space=none", *widths, *(f"{key}={typed(value)}" for key, value in differing.items())]


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
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

    ways: dict[str, str] = {}
    convolutions = None
    if "model.channels" in space.settings:
        channels, ways["model.growth"] = _widths(space, suggest, drawn, *BLOCKS)
        convolutions = Convolutions(channels, drawn("model.kernel"), drawn("model.pooling"))
    hidden, ways["model.shape"] = _widths(space, suggest, drawn, *LAYERS)
    active = hidden or convolutions is not None
    activation = drawn("model.activation") if active else NO_HIDDEN.activation
    dropout = drawn("model.dropout") if hidden else NO_HIDDEN.dropout
    model = Model(hidden, activation, dropout, convolutions, _tail(space.settings))
    training = _training({key: drawn(key) for key in space.settings if key.startswith("training.")})
    return Candidate(model, training, _fields(model, training, ways))


def _tail(fields: Mapping[str, Any]) -> Tail | None:
    """What of the backbone is trained along: the same in all trials of a search."""
    return Tail(fields["model.backbone"], fields["model.finetune"]) if "model.finetune" in fields else None


def _training(fields: Mapping[str, Any]) -> Training:
    """From fields by their keys; those of others are passed over."""
    named = {key.removeprefix("training."): value for key, value in fields.items() if key.startswith("training.")}
    own = {field.name: named.pop(field.name) for field in dataclass_fields(Tuning) if field.name in named}
    return Training(**named, tuning=Tuning(**own) if own else None)


def fixed(space: Space) -> Candidate:
    """The candidate of a space that holds no range."""

    def suggest(key: str, _: Range) -> Any:
        raise AssertionError(f"{key} is a range")

    return draw(space, suggest)


def restored(fields: Mapping[str, Any]) -> Candidate:
    """The candidate that has these fields."""
    hidden = _listed(fields["model.nodes"])
    convolutions = None
    if "model.channels" in fields:
        convolutions = Convolutions(_listed(fields["model.channels"]), fields["model.kernel"], fields["model.pooling"])
    activation, dropout = fields["model.activation"], fields["model.dropout"]
    between = (activation or NO_HIDDEN.activation, dropout or NO_HIDDEN.dropout)
    return Candidate(Model(hidden, *between, convolutions, _tail(fields)), _training(fields), fields)


def _listed(widths: str) -> tuple[int, ...]:
    return tuple(int(width) for width in widths.split("-") if width)


def _widths(
    space: Space, suggest: Suggest, drawn: Callable[[str], Any], count: str, each: str, way: str
) -> tuple[tuple[int, ...], str]:
    """The widths of hidden layers or blocks, and the way they were drawn by ("" where that is idle)."""
    widths = space.settings[each]
    if isinstance(widths, tuple):
        return widths, ""
    places = range(drawn(count))
    if not places:
        return (), ""

    def width(place: int) -> int:
        return int(suggest(f"{each}.{place}", widths) if isinstance(widths, Range) else widths)

    follow = drawn(way)
    if follow == "free":
        return tuple(width(place) for place in places), follow
    first = width(0)
    return tuple(FOLLOWING[follow](first, place) for place in places), follow


def _fields(model: Model, training: Training, ways: Mapping[str, str]) -> dict[str, Any]:
    blocks: dict[str, Any] = {}
    if model.convolutions is not None:
        blocks = {
            "model.blocks": len(model.convolutions.channels),
            "model.channels": "-".join(map(str, model.convolutions.channels)),
            "model.growth": ways["model.growth"],
            "model.kernel": model.convolutions.kernel,
            "model.pooling": model.convolutions.pooling,
        }
    tail, tuning = model.tail, training.tuning
    trained = {} if tail is None else {"model.backbone": tail.backbone, "model.finetune": tail.part}
    return {
        **trained,
        **blocks,
        "model.layers": len(model.hidden),
        "model.nodes": "-".join(map(str, model.hidden)),
        "model.shape": ways["model.shape"],
        "model.activation": model.activation if model.hidden or blocks else "",
        "model.dropout": model.dropout if model.hidden else "",
        **{f"training.{name}": value for name, value in asdict(training).items() if name != "tuning"},
        **{f"training.{name}": value for name, value in (asdict(tuning) if tuning else {}).items()},
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
    convolutions, hidden = candidate.model.convolutions, candidate.model.hidden
    values = {key: value for key, value in candidate.fields.items() if key not in ("model.nodes", "model.channels")}
    values |= {f"model.nodes.{layer}": width for layer, width in enumerate(hidden)}
    values |= {
        f"model.channels.{block}": width for block, width in enumerate(convolutions.channels if convolutions else ())
    }

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
