"""What a person typed after the command, word by word: which key, which value, is it a range, is it a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from pipeline.runtime.errors import first_line


@dataclass(frozen=True)
class Override:
    """One override: `text` as typed, and what Hydra's grammar reads in it.

    sweeps: it has several values, of which each is for a search of its own.
    """

    text: str
    key: str
    value: Any
    is_deletion: bool
    is_sweep: bool

    @property
    def is_range(self) -> bool:
        """Whether it puts a range where a value would stand."""
        return self.key.startswith(("model.", "training.")) and isinstance(self.value, dict)

    def to_hydra(self) -> list[str]:
        """The same override in the form that replaces what stands there; Hydra by itself merges into it.

        A list or a mapping cannot be merged over another kind of value: null goes ahead and clears the place.
        """
        if self.is_deletion or self.key.startswith("hydra.") or self.key == "hydra":
            return [self.text]
        _, _, value_text = self.text.partition("=")
        clearing = [f"++{self.key}=null"] if isinstance(self.value, dict | list) else []
        return [*clearing, f"++{self.key}={value_text}"]


def parse_override(text: str) -> Override:
    """Reads one override; raises ValueError where it is none."""
    key, equals, _ = text.partition("=")
    if not (key and equals) and not text.startswith("~"):
        raise ValueError(f"{text}: a setting is key=value, without a space on either side of the equals sign")
    try:
        override: HydraOverride = OverridesParser.create().parse_override(text)
        value = None if override.is_delete() else _read_value(override)
    except HydraException as error:
        raise ValueError(
            f"{text}: not a setting of the form key=value that can be read ({first_line(error)})"
        ) from None
    return Override(text, override.key_or_group, value, override.is_delete(), override.is_sweep_override())


def expand_sweep(text: str, list_group_options: Callable[[str], Sequence[str]]) -> list[str]:
    """The overrides that a sweep (`seed=0,1`, `seed=range(0,3)`, `task=glob(*)`) stands for; any other text is itself.

    names: what a group's glob may match. Raises ValueError where the text is no override, or sweeps over an interval.
    """
    parse_override(text)
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return [text]
    value: object = override.value()
    if isinstance(value, Glob):
        return [
            f"{override.key_or_group}={name}" for name in value.filter(list(list_group_options(override.key_or_group)))
        ]
    if not override.is_discrete_sweep():
        raise ValueError(f"{text}: an interval has no end of values; use a list, seed=0,1, or range(0,3)")
    return [f"{override.get_key_element()}={choice}" for choice in override.sweep_string_iterator()]


def _read_value(override: HydraOverride) -> Any:
    """The value without the marks of quoting; a sweep (`seed=1,2`) stays the text it is."""
    if override.is_sweep_override():
        return override.get_value_string()
    return _unquote(override.value())


def _unquote(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquote(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _unquote(part) for key, part in value.items()}
    return getattr(value, "text", value)
