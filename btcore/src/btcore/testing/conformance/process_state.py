# SPDX-License-Identifier: GPL-3.0-or-later
"""What all plugins of a process share, and none of them may change, such as the environment."""

import locale
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from btcore.testing.conformance.faults import Fault


def _state() -> Mapping[str, object]:
    root = logging.getLogger()
    return {
        "the current directory": os.getcwd(),  # noqa: PTH109 - compared, and given back
        "the environment variables": dict(os.environ),
        "the time-out of all sockets": socket.getdefaulttimeout(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the level of the root logger": (root.level, logging.root.manager.disable),
        "the handlers of the root logger": tuple(root.handlers),
        "the search path of modules": tuple(sys.path),
        "the hook for errors in threads": threading.excepthook,
        "standard output": (sys.stdout, sys.stderr),
    }


def _restore(state: Mapping[str, object], changed: str) -> None:
    match changed, state[changed]:
        case "the current directory", str() as folder:
            os.chdir(folder)
        case "the environment variables", dict() as variables:
            os.environ.clear()
            os.environ.update(variables)
        case "the time-out of all sockets", (None | float() | int()) as seconds:
            socket.setdefaulttimeout(seconds)
        case "the level of the root logger", (int() as level, int() as disabled):
            logging.getLogger().setLevel(level)
            logging.disable(disabled)
        case "the handlers of the root logger", tuple() as handlers:
            logging.getLogger().handlers[:] = handlers
        case "the search path of modules", tuple() as paths:
            sys.path[:] = paths
        case "the locale", str() as name:
            locale.setlocale(locale.LC_ALL, name)
        case "the hook for errors in threads", hook if callable(hook):
            threading.excepthook = hook
        case "standard output", (out, err):
            sys.stdout, sys.stderr = out, err


@contextmanager
def unchanged_process(faults: list[Fault]) -> Iterator[None]:
    """Compare before and after the block; add a fault for all that was changed, and change it back."""
    before = _state()
    try:
        yield
    finally:
        after = _state()
        changed = [what for what in before if before[what] != after[what]]
        for what in changed:
            _restore(before, what)
    if changed:
        faults.append(
            Fault("outcome", f"it changes what other plugins share with it: {', '.join(changed)}; leave that alone")
        )
