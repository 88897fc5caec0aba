"""The signals that stop the program: they set its `stop` event. Nothing else is decided here."""

import signal
from queue import SimpleQueue
from threading import Event, Thread

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when a terminal is closed."""


def stop_on_signals(stop: Event) -> None:
    """Set `stop` at the first signal; a second one ends the program at once. Call it in the main thread.

    A closed terminal may send SIGHUP several times, so only a second SIGTERM or SIGINT ends it. If SIGHUP is
    ignored, as under `nohup`, it stays ignored. A separate thread sets `stop`: the handler interrupts the main thread,
    which may hold the lock of `stop` while it waits for it; to set `stop` in the handler would be a deadlock.
    """
    asked: SimpleQueue[None] = SimpleQueue()  # the one queue that a handler may use
    asking = [number for number in ASKING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]

    def handler(*_: object) -> None:
        for number in asking:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.default_int_handler)
        asked.put(None)

    def tell() -> None:
        asked.get()
        stop.set()

    Thread(target=tell, name="signals", daemon=True).start()
    for number in asking:
        signal.signal(number, handler)
