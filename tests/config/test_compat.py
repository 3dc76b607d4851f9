"""Private functions of Hydra: each is still what config takes it for. A failure says what to change."""

from pipeline.config import compat


def test_parser_of_hydra_reads_its_flags_and_leaves_the_others() -> None:
    parser = compat.get_args_parser()
    words = ["task=a", "--config-dir", "mine", "-m", "--cfg", "job", "seed=0", "--typo"]
    args, unknown = parser.parse_known_intermixed_args(words)
    read = (args.overrides, args.config_dir, args.multirun, args.cfg, args.info, args.help, unknown)
    expected = (["task=a", "seed=0"], "mine", True, "job", None, False, ["--typo"])
    assert read == expected, "Hydra changed get_args_parser: adapt config/compat.py and config/command_line.py"
    assert {"hydra_help", "shell_completion"} <= vars(args).keys()
