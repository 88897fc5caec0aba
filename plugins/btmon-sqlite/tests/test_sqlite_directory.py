# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that the file is to be in: what is said when it cannot be there."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from btcore import Stop
from btmon_sqlite.sink import Sqlite

NOBODY = 65534
"""The user who may do nothing."""

Opened = Callable[..., Sqlite]


def test_a_directory_in_place_of_the_file_stops(opened: Opened, tmp_path: Path) -> None:
    """A directory is said to be one, with a file in it to name instead."""
    with pytest.raises(
        Stop, match=re.escape(f"{tmp_path} is a directory: `file` must name a file, such as {tmp_path}/")
    ):
        opened(file=tmp_path)


def test_a_directory_that_may_not_be_entered_stops(opened: Opened, tmp_path: Path) -> None:
    """A file that the user may not even look for stops the sink, with whom to give the right to."""
    file = tmp_path / "closed" / "energy.db"
    file.parent.mkdir(mode=0)
    user = os.geteuid()
    os.seteuid(user or NOBODY)  # the administrator may enter all directories
    try:
        with pytest.raises(Stop, match=f"{re.escape(str(file))} cannot be opened: let the user .* and its directory"):
            opened(file=file)
    finally:
        os.seteuid(user)


def test_a_missing_directory_stops(opened: Opened, tmp_path: Path) -> None:
    """A directory that is not there is not made, for it may be a disk that is not mounted."""
    file = tmp_path / "disk" / "energy.db"
    with pytest.raises(Stop, match=re.escape(f"there is no directory {tmp_path / 'disk'}; create it, mount it, or")):
        opened(file=file)
    assert not (tmp_path / "disk").exists()
