"""A file that a person names is opened only where it is a regular one: a pipe or a device would be read for ever."""

from __future__ import annotations

import errno
import stat
from pathlib import Path


def check_regular_file(file: Path) -> None:
    """Raises OSError where there is no such file, or it is a folder, a pipe, a socket or a device."""
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder and no file")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")
