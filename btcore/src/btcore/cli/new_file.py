# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a file of the user's: all of it, or nothing, and never over another file unless that is wanted."""

import os
import tempfile
from pathlib import Path

PRIVATE, COMMON = 0o600, 0o666


def write_new(file: Path, text: str, *, overwrite: bool = False, private: bool = False) -> None:
    """Write a text to a file; only this user may read it if it is `private`. Raises FileExistsError, or an OSError."""
    if overwrite and file.exists() and not file.is_file():  # a device, a pipe
        file.write_text(text, "utf-8")
        return
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened:
            opened.write(text)
        new.chmod(PRIVATE if private else COMMON & ~_mask())
        if overwrite:
            new.replace(file.resolve())
        else:
            _link(new, file)
    finally:
        new.unlink(missing_ok=True)


def _link(new: Path, file: Path) -> None:
    """Give a file its name, unless another one has it: in one step, where the file system can."""
    try:
        file.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as that of a USB stick
        if file.exists() or file.is_symlink():
            raise FileExistsError(file) from None
        new.replace(file)


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
