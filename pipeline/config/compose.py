"""Hydra: the files of conf/ and the overrides become one plain mapping. The only file that composes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.config.overrides import Override, parse_override
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.suggestions import did_you_mean, find_similar

CONF_FOLDER = Path(__file__).resolve().parents[2] / "conf"
CONFIG_GROUPS = ("task", "dataset", "head", "space", "compute")


class ConfigError(UsageError):
    """Everything that is wrong with the settings, one line a mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__(*mistakes)


def list_options(group: str, config_dir: Path | None) -> list[str]:
    """The names a group can take: the files of its folder in conf/ and in the person's own folder."""
    folders = [CONF_FOLDER / group] + ([config_dir / group] if config_dir else [])
    return sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})


def resolve_groups(overrides: Sequence[Override], config_dir: Path | None) -> tuple[list[Override], list[str]]:
    """The words with each misspelt group replaced by the nearest known or left out, and a line for each mistake.

    So the rest of the command can still be checked, and all mistakes are said at once.
    """
    resolved, mistakes = [], []
    for override in overrides:
        names = list_options(override.key, config_dir) if override.key in CONFIG_GROUPS else []
        if override.key not in CONFIG_GROUPS or override.value in names:
            resolved.append(override)
            continue
        folder_hint = (
            f"; for a folder of your own, dataset=folder dataset.root={override.value}" if _is_folder(override) else ""
        )
        hint = folder_hint or did_you_mean(str(override.value), names)
        mistakes.append(f"{override.text}: no such {override.key}{hint}; known: {', '.join(names)}")
        resolved += [parse_override(f"{override.key}={name}") for name in find_similar(str(override.value), names)]
    if not any(word.key == "task" for word in overrides):
        mistakes.append(f"task: say which, task=<name>; tasks: {', '.join(list_options('task', config_dir))}")
    return resolved, mistakes


def _is_folder(override: Override) -> bool:
    return override.key == "dataset" and Path(str(override.value)).is_dir()


def compose_config(overrides: Sequence[Override], config_dir: Path | None) -> tuple[dict[str, Any], str]:
    """The composed configuration as a plain mapping, and as YAML; "???" where a value is missing.

    Raises ConfigError where Hydra cannot compose.
    """
    hydra_overrides = [
        text for word in overrides for text in ([word.text] if word.key in CONFIG_GROUPS else word.to_hydra())
    ]
    if config_dir:
        folder = QuotedString(f"file://{config_dir.resolve()}", Quote.single).with_quotes()
        hydra_overrides.append(f"hydra.searchpath=[{folder}]")
    try:
        with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
            config = compose("search", hydra_overrides)
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([_format_error(error)]) from error
    except (YAMLError, OSError, ValueError) as error:
        rule = "each file of the configuration is YAML, with a value for each key"
        raise ConfigError([f"{rule}; got another ({_format_error(error)}); mend that file"]) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, OmegaConf.to_yaml(config, resolve=True)


def _format_error(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
