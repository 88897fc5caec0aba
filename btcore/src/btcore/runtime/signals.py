"""Signals that ask the program to end: they set its `stop`. Nothing else is decided here."""

import signal
from queue import SimpleQueue
from threading import Event, Thread

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP is that of a terminal that was closed: nobody is there any more who could ask otherwise."""


def stop_on_signals(stop: Event) -> None:
    """Set `stop` at the first signal; a second one does not wait for the work under way. Call it in the main thread.

    A closed terminal may send SIGHUP several times, so only SIGTERM and SIGINT hurry. Where SIGHUP is ignored, as under
    `nohup`, it stays so. A thread of its own sets `stop`: a signal's handler runs in the midst of the main thread, and
    where that is just waiting for `stop`, it holds the lock that setting it needs, and both would wait for ever.
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
