"""Private functions of Hydra; tests/config/test_compat.py names each."""

from hydra._internal.utils import get_args_parser

__all__ = ["get_args_parser"]
