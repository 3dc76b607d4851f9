"""The command line of a search: one search, a --multirun of several, or what Hydra shows with --cfg and --info."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

from pipeline.config.compose import CONF, GROUPS, ConfigError, options
from pipeline.config.overrides import parse, sweep
from pipeline.config.reader import read
from pipeline.config.schema import Search

MISTAKE, BY_A_SIGNAL = 2, 128


def run(words: Sequence[str], help_text: Callable[[Path | None], str], search: Callable[[Search], int]) -> int:
    """Reads the words, searches, and returns the exit code: 2 where a word is wrong."""
    from hydra._internal.utils import get_args_parser

    args, unknown = get_args_parser().parse_known_intermixed_args(list(words))
    if unknown:
        return refuse([_dashed(word, words) for word in unknown])
    config_dir = Path(args.config_dir) if args.config_dir else None
    if args.help:
        print(help_text(config_dir), end="")
        return 0
    try:
        if config_dir is not None and not config_dir.is_dir():
            raise ConfigError([f"--config-dir: a folder that exists; got {config_dir}"])
        if args.multirun:
            return _several(_jobs(args.overrides, config_dir), search)
        if args.hydra_help or args.shell_completion:
            return _hydra(words, args.overrides)
        config = read(args.overrides, config_dir)
        return _hydra(words, args.overrides) if args.cfg or args.info else search(config)
    except ConfigError as error:
        return refuse(error.mistakes)


def _several(jobs: Sequence[Search], search: Callable[[Search], int]) -> int:
    """One search after the other, until a signal ends one; the highest of their exit codes."""
    highest = 0
    for job in jobs:
        highest = max(highest, search(job))
        if highest >= BY_A_SIGNAL:
            break
    return highest


def _dashed(word: str, words: Sequence[str]) -> str:
    """What a word with dashes may have been meant to be; its value may be the word after it."""
    key, equals, value = word.lstrip("-").partition("=")
    after = words[words.index(word) + 1 :]
    meant = value if equals else after[0] if after and "=" not in after[0] else "<value>"
    return f"{word}: settings have no dashes and an equals sign; {key}={meant}"


def refuse(mistakes: Sequence[str]) -> int:
    """Says every mistake, a line each."""
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    print("nothing was started; python -m pipeline.search --help shows what can be said", file=sys.stderr)
    return MISTAKE


def _jobs(overrides: Sequence[str], config_dir: Path | None) -> list[Search]:
    """Every combination of the swept values, all read before the first starts."""
    try:
        swept = [sweep(text, lambda group: options(group, config_dir)) for text in overrides]
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return [read(job, config_dir) for job in product(*swept)]


def _hydra(words: Sequence[str], overrides: Sequence[str]) -> int:
    """Hydra's own main, which shows things, with the overrides in the form that replaces."""
    import hydra

    def job(_: object) -> None:
        raise AssertionError("Hydra only shows things here")

    flags = [word for word in words if word not in overrides]
    sys.argv[1:] = [*flags, *(text for word in overrides for text in _replacing(word))]
    hydra.main(config_path=str(CONF), config_name="search", version_base="1.3")(job)()
    return 0


def _replacing(word: str) -> list[str]:
    """An override as Hydra is to see it; groups as they are."""
    try:
        override = parse(word)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return [word] if override.key in GROUPS else override.replacing()
