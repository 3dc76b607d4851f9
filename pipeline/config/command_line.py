"""Run the command line of a search: one search, several with --multirun, or Hydra's --cfg and --info."""

import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from pipeline.config.compat import get_args_parser
from pipeline.config.compose import CONF_FOLDER, list_options
from pipeline.config.metrics import METRICS
from pipeline.config.overrides import ConfigError, expand_sweep, parse_override
from pipeline.config.own_data import OWN_DATA_TASKS
from pipeline.config.reader import read_search
from pipeline.config.schema import Search
from pipeline.config.search_methods import OPTIMIZERS, PRUNERS, SAMPLERS
from pipeline.runtime.arguments import UsageError

SIGNAL_EXIT_CODE = 128


def run_command_line(argv: Sequence[str] | None, help_template: str, run_search: Callable[[Search], int]) -> int:
    """Run the command of `argv`, or of the process, and return its exit code; raise UsageError with every mistake.

    help_template: the text of --help, with {task}, {dataset}, {sampler}, ... for the names that each can take.
    """
    try:
        return _run_arguments(sys.argv[1:] if argv is None else argv, help_template, run_search)
    except ConfigError as error:
        hint = "nothing was started; python -m pipeline.search --help lists the settings"
        raise UsageError(*error.lines, hint) from None


def _run_arguments(argv: Sequence[str], help_template: str, run_search: Callable[[Search], int]) -> int:
    args, unknown = get_args_parser().parse_known_intermixed_args(list(argv))
    if unknown:
        raise ConfigError(*(_explain_dashes(word, argv) for word in unknown))
    config_dir = Path(args.config_dir) if args.config_dir else None
    if args.help:
        print(_format_help(help_template, config_dir), end="")
        return 0
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigError(f"--config-dir: a folder that exists; got {config_dir}")
    if args.multirun:
        return _run_multirun(args.overrides, config_dir, run_search)
    if args.hydra_help or args.shell_completion:
        return _run_hydra(argv, args.overrides)
    config = read_search(args.overrides, config_dir)
    return _run_hydra(argv, args.overrides) if args.cfg or args.info else run_search(config)


def _format_help(template: str, config_dir: Path | None) -> str:
    groups = {group: ", ".join(list_options(group, config_dir)) for group in ("task", "dataset")}
    registries = {"sampler": SAMPLERS, "pruner": PRUNERS, "optimizer": OPTIMIZERS, "metric": METRICS}
    names = groups | {name: " | ".join(registry) for name, registry in registries.items()}
    return template.format(**{key: ("\n" + 10 * " ").join(textwrap.wrap(text, 68)) for key, text in names.items()})


def _run_multirun(overrides: Sequence[str], config_dir: Path | None, run_search: Callable[[Search], int]) -> int:
    """Run a search for each combination of the swept values, until a signal ends one; return the highest exit code."""
    expanded = [expand_sweep(text, partial(_list_glob_options, config_dir=config_dir)) for text in overrides]
    searches = [read_search(job, config_dir) for job in product(*expanded)]  # all, before the first starts
    exit_code = 0
    for search in searches:
        exit_code = max(exit_code, run_search(search))
        if exit_code >= SIGNAL_EXIT_CODE:
            break
    return exit_code


def _list_glob_options(group: str, config_dir: Path | None) -> list[str]:
    """Return the options that a glob can name; no task that needs data of one's own."""
    return [name for name in list_options(group, config_dir) if not (group == "task" and name in OWN_DATA_TASKS)]


def _explain_dashes(argument: str, argv: Sequence[str]) -> str:
    """Return the message for a setting with dashes; its value may be the next argument."""
    key, equals, value = argument.lstrip("-").partition("=")
    following = argv[argv.index(argument) + 1 :]
    suggested_value = value if equals else following[0] if following and "=" not in following[0] else "<value>"
    return f"{argument}: settings have no dashes and an equals sign; {key}={suggested_value}"


def _run_hydra(argv: Sequence[str], overrides: Sequence[str]) -> int:
    """Print what Hydra's own flags show, with the overrides in Hydra's form."""
    import hydra

    def job(_: object) -> None:
        raise AssertionError("Hydra runs no job here")

    flags = [argument for argument in argv if argument not in overrides]
    sys.argv[1:] = [*flags, *(text for override in overrides for text in parse_override(override).to_hydra())]
    hydra.main(config_path=str(CONF_FOLDER), config_name="search", version_base="1.3")(job)()
    return 0
