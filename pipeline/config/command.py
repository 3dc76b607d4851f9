"""The command line of a search: our own reading and refusing, and Hydra's for --cfg, --info and --multirun."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config.compose import CONF, GROUPS, ConfigError
from pipeline.config.overrides import parse
from pipeline.config.read import read
from pipeline.config.schema import Search

MISTAKE = 2


def run(words: Sequence[str], help_text: Callable[[Path | None], str], search: Callable[[Search], int]) -> int:
    """Reads the words, searches, and returns the exit code: 2 where a word is wrong."""
    from hydra._internal.utils import get_args_parser

    args = get_args_parser().parse_args(list(words))
    config_dir = Path(args.config_dir) if args.config_dir else None
    if args.help:
        print(help_text(config_dir), end="")
        return 0
    try:
        if config_dir is not None and not config_dir.is_dir():
            raise ConfigError([f"--config-dir: a folder that exists; got {config_dir}"])
        if args.multirun:
            return _with_hydra(words, search, config_dir)
        config = None if args.hydra_help or args.shell_completion else read(args.overrides, config_dir)
        if args.hydra_help or args.shell_completion or args.cfg or args.info:
            return _with_hydra(words, search, config_dir)
    except ConfigError as error:
        return refuse(error.mistakes)
    assert config is not None
    return search(config)


def refuse(mistakes: Sequence[str]) -> int:
    """Says every mistake, a line each."""
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    print("nothing was started; python -m pipeline.search --help shows what can be said", file=sys.stderr)
    return MISTAKE


def _with_hydra(words: Sequence[str], search: Callable[[Search], int], config_dir: Path | None) -> int:
    """Hydra's own main, with the overrides in the form that replaces; for --multirun it calls back for each job."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    codes = [0]

    def job(_: object) -> None:
        try:
            codes.append(search(read(_typed(HydraConfig.get().overrides.task), config_dir)))
        except ConfigError as error:
            codes.append(refuse(error.mistakes))

    sys.argv[1:] = [text for word in words for text in _replacing(word)]
    hydra.main(config_path=str(CONF), config_name="search", version_base="1.3")(job)()
    return max(codes)


def _replacing(word: str) -> list[str]:
    """A word of the command line as Hydra is to see it: flags and groups as they are."""
    if word.startswith("-") or "=" not in word:
        return [word]
    try:
        override = parse(word)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return [word] if override.key in GROUPS else override.replacing()


def _typed(overrides: Sequence[str]) -> list[str]:
    """The overrides of a job as a person would have typed them."""
    return [text.removeprefix("++") for text in overrides if not (text.startswith("++") and text.endswith("=null"))]
