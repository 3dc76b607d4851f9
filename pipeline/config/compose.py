"""Compose the files of conf/ and the overrides into one plain mapping with Hydra."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.config.overrides import CONFIG_GROUPS, ConfigError, Override, parse_override
from pipeline.runtime.suggestions import did_you_mean, find_similar

CONF_FOLDER = Path(__file__).resolve().parents[2] / "conf"


def list_options(group: str, config_dir: Path | None) -> list[str]:
    """Return the options of a group: the files of its folder in conf/ and in the user's own folder."""
    folders = [CONF_FOLDER / group] + ([config_dir / group] if config_dir else [])
    return sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})


def resolve_groups(overrides: Sequence[Override], config_dir: Path | None) -> tuple[list[Override], list[str]]:
    """Return the overrides and the mistakes in groups.

    A misspelt option is replaced by the nearest one, or left out, so that the rest of the command is checked too.
    """
    resolved = []
    mistakes = []
    for override in overrides:
        names = list_options(override.key, config_dir) if override.key in CONFIG_GROUPS else []
        if override.key not in CONFIG_GROUPS or override.value in names:
            resolved.append(override)
            continue
        value = str(override.value)
        hint = _explain_path(override.key, value) or did_you_mean(value, names)
        mistakes.append(f"{override.text}: no such {override.key}{hint}; known: {', '.join(names)}")
        resolved += [parse_override(f"{override.key}={name}") for name in find_similar(value, names)]
    if not any(override.key == "task" for override in overrides):
        mistakes.append(f"task: say which, task=<name>; tasks: {', '.join(list_options('task', config_dir))}")
    return resolved, mistakes


def _explain_path(group: str, value: str) -> str:
    """Return how to search on a file or folder that was named in place of a task or a data set, or ""."""
    if group in ("task", "dataset") and Path(value).is_dir():
        option = "task=images" if group == "task" else "dataset=folder"
        return f"; for a folder of your own, {option} dataset.root={value}"
    if group == "task" and Path(value).is_file():
        return f"; for a table of your own, task=table dataset.file={value} dataset.target=<column>"
    return ""


def compose_config(overrides: Sequence[Override], config_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Return the configuration as a plain mapping, with "???" for a missing value, and as YAML; raises ConfigError."""
    hydra_overrides = [text for override in overrides for text in override.to_hydra()]
    if config_dir:
        folder = QuotedString(f"file://{config_dir.resolve()}", Quote.single).with_quotes()
        hydra_overrides.append(f"hydra.searchpath=[{folder}]")
    try:
        with initialize_config_dir(str(CONF_FOLDER), version_base="1.3"):
            config = compose("search", hydra_overrides)
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_format_error(error)) from error
    except (YAMLError, OSError, ValueError) as error:
        rule = "each file of the configuration is YAML, with a value for each key"
        raise ConfigError(f"{rule}; got another ({_format_error(error)}); correct that file") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, OmegaConf.to_yaml(config, resolve=True)


def _format_error(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
