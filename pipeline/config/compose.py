"""Hydra: the files of conf/ and the overrides become one plain mapping. The only file that composes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.config.overrides import Word, parse

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = ("task", "dataset", "head", "space", "compute")


class ConfigError(Exception):
    """Everything that is wrong with what was typed, one line a mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def options(group: str, config_dir: Path | None) -> list[str]:
    """The names a group can take: the files of its folder in conf/ and in the person's own folder."""
    folders = [CONF / group] + ([config_dir / group] if config_dir else [])
    return sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})


def nearest(name: str, known: Sequence[str]) -> str:
    """` (did you mean x?)`, or nothing where no known name is near."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def known_groups(words: Sequence[Word], config_dir: Path | None) -> tuple[list[Word], list[str]]:
    """The words with each misspelt group replaced by the nearest known or left out, and a line for each mistake.

    So the rest of the command can still be checked, and all mistakes are said at once.
    """
    known, mistakes = [], []
    for word in words:
        names = options(word.key, config_dir) if word.key in GROUPS else []
        if word.key not in GROUPS or word.value in names:
            known.append(word)
            continue
        own = f"; for a folder of your own, dataset=folder dataset.root={word.value}" if _is_folder(word) else ""
        hint = own or nearest(str(word.value), names)
        mistakes.append(f"{word.text}: no such {word.key}{hint}; known: {', '.join(names)}")
        known += [parse(f"{word.key}={name}") for name in get_close_matches(str(word.value), names, n=1)]
    if not any(word.key == "task" for word in words):
        mistakes.append(f"task: say which, task=<name>; tasks: {', '.join(options('task', config_dir))}")
    return known, mistakes


def _is_folder(word: Word) -> bool:
    return word.key == "dataset" and Path(str(word.value)).is_dir()


def composed(words: Sequence[Word], config_dir: Path | None) -> tuple[dict[str, Any], str]:
    """The composed configuration as a plain mapping, and as YAML; "???" where a value is missing.

    Raises ConfigError where Hydra cannot compose.
    """
    overrides = [text for word in words for text in ([word.text] if word.key in GROUPS else word.replacing())]
    if config_dir:
        folder = QuotedString(f"file://{config_dir.resolve()}", Quote.single).with_quotes()
        overrides.append(f"hydra.searchpath=[{folder}]")
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("search", overrides)
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([_in_one_line(error)]) from error
    except (YAMLError, OSError, ValueError) as error:
        rule = "each file of the configuration is YAML, with a value for each key"
        raise ConfigError([f"{rule}; got another ({_in_one_line(error)}); mend that file"]) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, OmegaConf.to_yaml(config, resolve=True)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
