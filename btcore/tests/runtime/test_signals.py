# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals: the first one stops the program in order, the second at once."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.servers

ROUNDS = 600

IN_THE_MIDST_OF_WAITING = f"""
import threading
from btcore.runtime.signals import stop_on_signals

for _ in range({ROUNDS}):
    stop = threading.Event()
    stop_on_signals(stop)
    print("waiting", flush=True)
    while not stop.wait(0.000001):
        pass
"""

WATCHING_LOCKS = """
import threading

taken, watching = [], False

class Lock:
    def __init__(self, lock):
        self.lock = lock

    def acquire(self, *how):
        if watching and threading.get_ident() == threading.main_thread().ident:
            taken.append(self.lock)
        return self.lock.acquire(*how)

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.lock.release()

    def __getattr__(self, name):
        return getattr(self.lock, name)

real = threading.Lock, threading.RLock
threading.Lock, threading.RLock = (lambda make=make: Lock(make()) for make in real)

import signal
from btcore.logs.handler import set_up
from btcore.runtime.signals import stop_on_signals

set_up(verbose=True)
stop = threading.Event()
stop_on_signals(stop)
watching = True
signal.raise_signal(signal.SIGTERM)
watching = False
assert stop.wait(60)
print(len(taken))
"""

NEVER_DONE = """
import threading, time
from btcore.runtime.signals import stop_on_signals

stop = threading.Event()
stop_on_signals(stop)
print("ready", flush=True)
stop.wait()
print("stopping", flush=True)
while True:
    time.sleep(60)
"""


IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios, threading
from btcore.runtime.signals import has_terminal, stop_on_signals

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
assert has_terminal()
stop = threading.Event()
stop_on_signals(stop, lambda: print("reading again", flush=True))
print("ready", flush=True)
stop.wait()
print("stopping", flush=True)
os.kill(os.getpid(), signal.SIGHUP)
print("done", flush=True)
"""


def test_a_closed_terminal_ends_it_in_order() -> None:
    """A terminal that is closed stops it as SIGTERM does; that SIGHUP comes again, as from a shell, hurries nothing."""
    master, slave = os.openpty()
    command = [sys.executable, "-c", IN_A_TERMINAL, os.ttyname(slave)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            os.close(slave)
            os.close(master)
            assert process.communicate(timeout=60)[0] == "stopping\ndone\n"
        finally:
            process.kill()
    assert process.returncode == 0


WITHOUT_A_TERMINAL = """
import os, signal, threading
from btcore.runtime.signals import has_terminal, stop_on_signals

signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.setsid()
assert not has_terminal()
stop = threading.Event()
stop_on_signals(stop, lambda: print("reading again", flush=True))
for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
stop.wait()
print("stopping", flush=True)
"""


def test_a_service_reads_its_configuration_again() -> None:
    """Without a terminal, each SIGHUP asks for the configuration to be read again, until SIGTERM stops it."""
    command = [sys.executable, "-c", WITHOUT_A_TERMINAL]
    found = subprocess.run(command, timeout=60, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert found.stdout == "reading again\nreading again\nstopping\n"


NOHUP = """
import os, signal, threading
from btcore.runtime.signals import stop_on_signals

signal.signal(signal.SIGHUP, signal.SIG_IGN)
stop = threading.Event()
stop_on_signals(stop)
os.kill(os.getpid(), signal.SIGHUP)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
os.kill(os.getpid(), signal.SIGTERM)
stop.wait()
"""


def test_nohup_is_respected() -> None:
    """Where SIGHUP is ignored, a closed terminal ends nothing; SIGTERM does."""
    subprocess.run([sys.executable, "-c", NOHUP], timeout=60, check=True)


def test_a_signal_stops_whoever_waits_for_it() -> None:
    """A signal that comes while the main thread waits for `stop`, at any point of the waiting, sets it."""
    command = [sys.executable, "-c", IN_THE_MIDST_OF_WAITING]
    rounds = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        hung = threading.Timer(60, process.kill)
        hung.start()
        assert process.stdout is not None
        for _ in process.stdout:
            rounds += 1
            moment = time.perf_counter() + rounds / ROUNDS / 1000  # another point of the waiting in each round
            while time.perf_counter() < moment:
                pass
            process.send_signal(signal.SIGTERM)
        hung.cancel()
    assert (rounds, process.returncode) == (ROUNDS, 0)


def test_a_signal_takes_no_lock() -> None:
    """A signal that finds the main thread with any lock in its hands, of `stop` or of the log, waits for none."""
    command = [sys.executable, "-c", WATCHING_LOCKS]
    assert subprocess.run(command, timeout=60, check=True, capture_output=True, text=True).stdout == "0\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(number: signal.Signals) -> None:
    """A second signal interrupts a program that does not come to an end."""
    command = [sys.executable, "-c", NEVER_DONE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert said.endswith("KeyboardInterrupt\n")
