"""Signals that ask the program to end: they set its `stop`. Nothing else is decided here."""

import signal
from queue import SimpleQueue
from threading import Event, Thread

ASKING = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(stop: Event) -> None:
    """Set `stop` at the first signal; a second one does not wait for the work under way. Call it in the main thread.

    A thread of its own does it: a signal's handler runs in the midst of the main thread, and where that is just waiting
    for `stop`, it holds the lock that setting it needs, and both would wait for ever.
    """
    asked: SimpleQueue[None] = SimpleQueue()  # the one queue that a handler may use

    def handler(*_: object) -> None:
        for number in ASKING:
            signal.signal(number, signal.default_int_handler)
        asked.put(None)

    def tell() -> None:
        asked.get()
        stop.set()

    Thread(target=tell, name="signals", daemon=True).start()
    for number in ASKING:
        signal.signal(number, handler)
