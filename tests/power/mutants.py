# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken out of the journal, or of the disk, to see that the simulator finds what is lost by it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest.mock import patch

from btcore.sqlite_journal import gathering
from btcore.sqlite_journal.files import tail

DISK = "the-disk"

MUTANTS: Mapping[str, tuple[tuple[ModuleType, str], ...]] = {
    DISK: (),
    "the-tail": ((os, "fdatasync"),),
    "the-name": ((tail, "sync_names"),),
    "the-log": ((gathering, "sync_file"),),
    "": (),
}
"""By what is not synced any more: which functions do nothing. `DISK` says that it has synced, and has not."""


def nothing(*_arguments: object) -> None:
    """Do nothing."""


@contextmanager
def take_out(name: str) -> Iterator[bool]:
    """Take something out; say whether the disk lies."""
    with ExitStack() as patches:
        for module, function in MUTANTS[name]:
            patches.enter_context(patch.object(module, function, nothing))
        yield name == DISK
