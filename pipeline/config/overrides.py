"""Parse the overrides of the command line with Hydra's grammar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from pipeline.runtime.arguments import UsageError
from pipeline.runtime.errors import first_line

CONFIG_GROUPS = ("task", "dataset", "head", "space", "compute")


class ConfigError(UsageError):
    """All mistakes in the settings, one line each."""


@dataclass(frozen=True)
class Override:
    """One override: `text` as typed, and its parts.

    is_sweep: it has several values (`seed=1,2`), each for its own search; `value` is then text.
    """

    text: str
    key: str
    value: Any
    is_deletion: bool
    is_sweep: bool

    @property
    def is_range(self) -> bool:
        """Return whether its value is a range."""
        return self.key.startswith(("model.", "training.")) and isinstance(self.value, dict)

    def to_hydra(self) -> list[str]:
        """Return a group as typed, for other keys overrides that replace the value: Hydra alone would merge into it.

        A list or mapping cannot be merged into another kind of value, so that null comes first and clears it.
        """
        if self.is_deletion or self.key in CONFIG_GROUPS or self.key.partition(".")[0] == "hydra":
            return [self.text]
        _, _, value_text = self.text.partition("=")
        clearing = [f"++{self.key}=null"] if isinstance(self.value, dict | list) else []
        return [*clearing, f"++{self.key}={value_text}"]


def parse_override(text: str) -> Override:
    """Parse one override; raises ConfigError if it is none."""
    key, equals, _ = text.partition("=")
    if not (key and equals) and not text.startswith("~"):
        raise ConfigError(f"{text}: a setting is key=value, without a space on either side of the equals sign")
    try:
        override: HydraOverride = OverridesParser.create().parse_override(text)
        is_sweep = override.is_sweep_override()
        value = override.get_value_string() if is_sweep else _unquote(override.value())
    except HydraException as error:
        reason = first_line(error)
        raise ConfigError(f"{text}: not a setting of the form key=value that can be read ({reason})") from None
    is_deletion = override.is_delete()
    return Override(text, override.key_or_group, None if is_deletion else value, is_deletion, is_sweep)


def expand_sweep(text: str, list_group_options: Callable[[str], Sequence[str]]) -> list[str]:
    """Return an override for each value of a sweep (`seed=0,1`, `seed=range(0,3)`, `task=glob(*)`); others unchanged.

    Raises ConfigError if the text is no override, or sweeps over an interval.
    """
    parse_override(text)
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return [text]
    value: object = override.value()
    if isinstance(value, Glob):
        group = override.key_or_group
        return [f"{group}={name}" for name in value.filter(list(list_group_options(group)))]
    if not override.is_discrete_sweep():
        raise ConfigError(f"{text}: an interval has infinitely many values; use a list, seed=0,1, or range(0,3)")
    return [f"{override.get_key_element()}={choice}" for choice in override.sweep_string_iterator()]


def _unquote(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquote(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _unquote(part) for key, part in value.items()}
    return getattr(value, "text", value)
