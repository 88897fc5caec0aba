# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the control socket: a command asks the program that runs with a state directory."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from btcore.control import MAX_ANSWER, SOCKET, TIMEOUT, socket_path
from btcore.errors import Unavailable, WrongUse

NOT_RUNNING = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
"""What connecting raises where no program listens: there is no socket, or one of a program that was killed."""


class NotRunning(Unavailable):
    """No program runs with this state directory."""


def ask(state: Path, command: str, timeout: float = TIMEOUT, **arguments: object) -> Iterator[dict[str, Any]]:
    """Yield the answers of the running program, each as it comes. Raises NotRunning, Unavailable, WrongUse.

    `timeout` is how many seconds to wait for each answer.
    """
    with _connect(state, timeout) as connection, connection.makefile("rb") as lines:
        try:
            with suppress(BrokenPipeError):  # a program that refuses answers before it hangs up
                connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            while line := lines.readline(MAX_ANSWER):
                yield _read(line)
        except TimeoutError:
            raise Unavailable(f"the btcore that runs with {state} does not answer within {timeout:.0f} s") from None
        except OSError as error:
            raise Unavailable(f"the btcore that runs with {state} is gone: {error.strerror}") from None


def ask_once(state: Path, command: str, timeout: float = TIMEOUT, **arguments: object) -> dict[str, Any]:
    """Return the one answer of the running program. Raises NotRunning, Unavailable, WrongUse."""
    for answer in ask(state, command, timeout, **arguments):
        return answer
    raise Unavailable(f"the btcore that runs with {state} hung up without an answer: it may be stopping")


def _connect(state: Path, timeout: float) -> socket.socket:
    try:
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except NOT_RUNNING:
        raise NotRunning(f"no btcore runs with {state}: there is no such directory") from None
    except OSError as error:
        raise Unavailable(f"cannot look into the state directory {state}: {error.strerror}") from None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(socket_path(state, directory))
    except NOT_RUNNING:
        connection.close()
        raise NotRunning(f"no btcore runs with {state}") from None
    except OSError as error:
        connection.close()
        raise Unavailable(f"cannot ask the btcore that runs with {state} ({SOCKET}): {error.strerror}") from None
    finally:
        os.close(directory)
    return connection


def _read(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable("the running btcore answered something that is no JSON object: is it of another version?")
    if answer.get("wrong_use"):
        raise WrongUse(str(answer.get("error")))
    if "error" in answer:
        raise Unavailable(f"the running btcore says: {answer['error']}")
    return answer
