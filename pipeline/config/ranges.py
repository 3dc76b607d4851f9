"""A range stands where a value would: `{low: 1, high: 9}` or `{choice: [a, b]}` in place of a number or a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

INTERVAL_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Interval:
    """Every number from low to high, both included; on a logarithmic scale, or in steps."""

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
    """The largest number that a setting may come to; 0 where it is none."""
    if isinstance(setting, Interval):
        return setting.high
    options = setting.options if isinstance(setting, Choice) else (setting,)
    return max((option for option in options if isinstance(option, int | float)), default=0)


def is_range_mapping(raw: object) -> bool:
    """Whether a person wrote a mapping where a value may stand."""
    return isinstance(raw, Mapping)


def parse_range(raw: Mapping[str, Any], adapter: TypeAdapter[Any]) -> Range:
    """A range whose ends or options are all valid values of the field.

    Raises ValueError with the rule that is broken, ValidationError where an end or option is not a valid value.
    """
    if set(raw) == {"choice"}:
        return _parse_choice(raw["choice"], adapter)
    if not {"low", "high"} <= set(raw) or set(raw) - set(INTERVAL_KEYS):
        raise ValueError(
            "a range is {low: .., high: ..}, with log: true or step: .. if wanted, or {choice: [..]}; "
            f"got the keys {', '.join(map(str, raw))}"
        )
    return _parse_interval(raw, adapter)


def _parse_choice(options: object, adapter: TypeAdapter[Any]) -> Choice:
    if not isinstance(options, list) or not options:
        raise ValueError(f"choice needs a list of at least one value, such as {{choice: [..]}}; got {options!r}")
    values = tuple(adapter.validate_python(option) for option in options)
    if len(set(values)) < len(values):
        raise ValueError(f"each value of a choice stands once; got {options!r}")
    return Choice(values)


def _parse_interval(raw: Mapping[str, Any], adapter: TypeAdapter[Any]) -> Interval:
    low, high = (adapter.validate_python(raw[end]) for end in ("low", "high"))
    if isinstance(low, bool) or not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ValueError(
            f"words have no low and high; use {{choice: [..]}}; got low: {raw['low']}, high: {raw['high']}"
        )
    log, step = raw.get("log", False), raw.get("step")
    if low >= high:
        raise ValueError(f"low must be below high; got low: {low}, high: {high}")
    if not isinstance(log, bool):
        raise ValueError(f"log is true or false; got {log!r}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range starts above 0; got low: {low}; raise low, or leave log out")
    if step is not None:
        _check_step(step, is_integer=isinstance(low, int), is_log=log)
    return Interval(low, high, log, step)


def _check_step(step: object, *, is_integer: bool, is_log: bool) -> None:
    if is_log:
        raise ValueError("log and step exclude each other; leave one out")
    if isinstance(step, bool) or not isinstance(step, int if is_integer else int | float) or step <= 0:
        raise ValueError(f"step is a {'whole ' if is_integer else ''}number above 0; got {step!r}")


def error_text(error: ValueError) -> str:
    """The first broken rule in words."""
    if not isinstance(error, ValidationError):
        return str(error)
    detail = error.errors(include_url=False)[0]
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}; got {detail['input']!r}"
