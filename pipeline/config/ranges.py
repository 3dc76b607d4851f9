"""Parse ranges: `{low: 1, high: 9}` or `{choice: [a, b]}` in place of a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

INTERVAL_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Interval:
    """Numbers from low to high, both included; on a logarithmic scale, or in steps."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    options: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return any(value == option and type(value) is type(option) for option in self.options)


Range = Interval | Choice
Setting = Any | Range


def upper_bound(setting: object) -> float:
    """Return the largest number of a setting; 0 if it has no numbers."""
    if isinstance(setting, Interval):
        return setting.high
    options = setting.options if isinstance(setting, Choice) else (setting,)
    return max((option for option in options if isinstance(option, int | float)), default=0)


def parse_range(raw: Mapping[str, Any], adapter: TypeAdapter[Any]) -> Range:
    """Parse a range whose ends or options are valid values of the field; raises ValueError or ValidationError."""
    if set(raw) == {"choice"}:
        return _parse_choice(raw["choice"], adapter)
    if not {"low", "high"} <= set(raw) or set(raw) - set(INTERVAL_KEYS):
        raise ValueError(
            "a range is {low: .., high: ..}, optionally with log: true or step: .., or {choice: [..]}; "
            f"got the keys {', '.join(map(str, raw))}"
        )
    return _parse_interval(raw, adapter)


def _parse_choice(options: object, adapter: TypeAdapter[Any]) -> Choice:
    if not isinstance(options, list) or not options:
        raise ValueError(f"choice needs a list of at least one value, such as {{choice: [..]}}; got {options!r}")
    values = tuple(adapter.validate_python(option) for option in options)
    if len(set(values)) < len(values):
        raise ValueError(f"each value of a choice is listed once; got {options!r}")
    return Choice(values)


def _parse_interval(raw: Mapping[str, Any], adapter: TypeAdapter[Any]) -> Interval:
    low, high = (adapter.validate_python(raw[end]) for end in ("low", "high"))
    if isinstance(low, bool) or not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ValueError(f"low and high are for numbers; got {raw['low']} and {raw['high']}; use {{choice: [..]}}")
    log = raw.get("log", False)
    step = raw.get("step")
    if low >= high:
        raise ValueError(f"low must be below high; got low: {low}, high: {high}")
    if not isinstance(log, bool):
        raise ValueError(f"log is true or false; got {log!r}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range starts above 0; got low: {low}; raise low, or leave log out")
    if log and step is not None:
        raise ValueError("log and step exclude each other; leave one out")
    step_types = int if isinstance(low, int) else int | float
    if step is not None and (isinstance(step, bool) or not isinstance(step, step_types) or step <= 0):
        raise ValueError(f"step is a {'whole ' if isinstance(low, int) else ''}number above 0; got {step!r}")
    return Interval(low, high, log, step)


def error_text(error: ValueError) -> str:
    """Return the first broken rule."""
    if not isinstance(error, ValidationError):
        return str(error)
    detail = error.errors(include_url=False)[0]
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}; got {detail['input']!r}"
