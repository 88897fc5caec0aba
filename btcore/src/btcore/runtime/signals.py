# SPDX-License-Identifier: GPL-3.0-or-later
"""The signals that the program takes: they set its `stop` event, or ask it to read the configuration again.

Nothing else is decided here.
"""

import os
import signal
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

STOPPING = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(stop: Event, reload: Callable[[], object] | None = None) -> None:
    """Set `stop` at the first signal; a second one ends the program at once. Call it in the main thread.

    SIGHUP calls `reload`, if there is one and the program has no terminal. A closed terminal sends it, possibly several
    times, and that stops the program; only a second SIGTERM or SIGINT ends it at once. If SIGHUP is ignored, as under
    `nohup`, it stays ignored. A separate thread sets `stop`: the handler interrupts the main thread,
    which may hold the lock of `stop` while it waits for it; to set `stop` in the handler would be a deadlock.
    """
    received: SimpleQueue[int] = SimpleQueue()  # the one queue that a handler may use
    reload = None if has_terminal() else reload

    def handler(number: int, _frame: object) -> None:
        received.put(number)
        if number != signal.SIGHUP or reload is None:
            for one in STOPPING:
                signal.signal(one, signal.default_int_handler)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def act() -> None:
        while received.get() == signal.SIGHUP and reload is not None:
            reload()
        stop.set()

    Thread(target=act, name="signals", daemon=True).start()
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    for number in (*STOPPING, *([] if is_ignored else [signal.SIGHUP])):
        signal.signal(number, handler)


def has_terminal() -> bool:
    """Whether the process has a controlling terminal, which sends SIGHUP when it is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
