# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands to the meters of one source: who has the line, what the collector takes, and every way it can fail."""

from threading import Event, Thread

import pytest

from btcore import CommandFailed, MeterCommand, MeterCommands
from btcore import meter_commands as module
from btcore.testing import wait_for
from btcore.testing.kit.waiting import in_background


def collector(commands: MeterCommands, over: Event, answer: bytes = b"OK", stream: str = "a") -> None:
    """Take commands, and bring an answer to each, until it is over."""
    while not over.is_set():
        commands.wait(0.02)
        for _command in commands.take():
            commands.came_in(stream, answer)


def test_a_command_is_taken_and_its_answer_comes_back() -> None:
    """What is sent is what the collector takes; what comes in on the stream meanwhile is received."""
    commands, over = MeterCommands(), Event()
    with in_background(over, lambda: collector(commands, over)), commands.conversation("a") as line:
        line.send(b"^^^RQSSRN")
        assert line.receive(30) == b"OK"


def test_nothing_is_kept_while_there_is_no_conversation() -> None:
    """Bytes that come in without a conversation are nobody's answer."""
    commands = MeterCommands()
    commands.came_in("a", b"early")
    with commands.conversation("a") as line:
        assert line.receive(0) == b""
        commands.came_in("b", b"of another stream")
        commands.came_in("a", b"mine")
        assert line.receive(0) == b"mine"


def test_the_collector_sees_whether_a_conversation_is_under_way() -> None:
    """`is_busy` holds from the beginning of a conversation to its end, also where that is a failure."""
    commands = MeterCommands()
    assert not commands.is_busy
    with commands.conversation() as line:
        assert commands.is_busy
        commands.refuse("no")
        with pytest.raises(CommandFailed):
            line.receive(0)
    assert not commands.is_busy


def test_two_conversations_do_not_mix() -> None:
    """The second waits for the end of the first, and for its own answer."""
    commands, over = MeterCommands(), Event()
    seen: list[str] = []

    def second() -> None:
        with commands.conversation("a"):
            seen.append("second")

    with in_background(over, lambda: collector(commands, over)):
        with commands.conversation("a") as line:
            thread = Thread(target=second)
            thread.start()
            line.send(b"x")
            line.receive(30)
            seen.append("first")
        thread.join(30)
    assert seen == ["first", "second"]


def test_a_line_that_others_have_is_not_waited_for_for_ever() -> None:
    """Who does not get the line in time is told that another command has it."""
    commands = MeterCommands()
    with commands.conversation():
        second = commands.conversation(patience=0.01)
        with pytest.raises(CommandFailed, match="another command has had the line"):
            second.__enter__()


def test_a_collector_that_takes_no_commands_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that knows no commands is the reason that is given; one that is busy for too long is another."""
    monkeypatch.setattr(module, "FIRST_TAKE", 0.01)
    monkeypatch.setattr(module, "LATER_TAKE", 0.01)
    commands = MeterCommands()
    with commands.conversation() as line, pytest.raises(CommandFailed, match="its plugin sends none"):
        line.send(b"x")
    assert commands.take() == ()
    with commands.conversation() as line, pytest.raises(CommandFailed, match="its line hangs"):
        line.send(b"x")


def test_what_one_conversation_left_is_not_sent_for_the_next() -> None:
    """A command that was not taken, and an answer that came late, end with their conversation."""
    commands = MeterCommands()
    with commands.conversation():
        commands.post(MeterCommand(b"left"))
    commands.came_in("", b"late")
    with commands.conversation() as line:
        assert (commands.take(), line.receive(0)) == ((), b"")


@pytest.mark.parametrize(
    ("happen", "said"),
    [
        (lambda commands: commands.ended("a"), "the connection to the meter ended in the middle"),
        (lambda commands: commands.interrupt("the port is gone"), "the port is gone"),
        (lambda commands: commands.refuse("2 meters are connected"), "2 meters are connected"),
    ],
)
def test_a_meter_that_vanishes_ends_the_wait(happen: object, said: str) -> None:
    """A stream that ends, a source that fails and a command that is refused end the conversation with the reason."""
    commands, over = MeterCommands(), Event()

    def vanish() -> None:
        wait_for(commands.take, "a command")
        happen(commands)  # type: ignore[operator]

    def ask() -> None:
        with commands.conversation("a") as line:
            line.send(b"x")
            line.receive(30)

    with in_background(over, vanish), pytest.raises(CommandFailed, match=said):
        ask()


def test_what_came_before_the_end_is_received() -> None:
    """Bytes that came in before the stream ended are received first."""
    commands = MeterCommands()
    with commands.conversation("a") as line:
        commands.post(MeterCommand(b"x", "a"))
        commands.take()
        commands.came_in("a", b"OK")
        commands.ended("a")
        assert line.receive(0) == b"OK"
        with pytest.raises(CommandFailed):
            line.receive(0)


def test_a_connection_may_be_made_anew_before_the_first_command() -> None:
    """A collector that connects for each request may end a stream before a command is sent: any stream will do."""
    commands = MeterCommands()
    with commands.conversation("a#1") as line:
        commands.ended("a#1")
        commands.came_in("a#2", b"OK")
        assert line.receive(0) == b"OK"


def test_what_waits_is_bounded() -> None:
    """Commands that nobody takes, and bytes that nobody reads, are bounded."""
    commands = MeterCommands()
    with commands.conversation() as line:
        commands.came_in("", bytes(3 * module.MAX_RECEIVED))
        assert len(line.receive(0)) == module.MAX_RECEIVED
        for _ in range(module.MAX_WAITING):
            commands.post(MeterCommand(b"x"))
        with pytest.raises(CommandFailed, match="too many"):
            commands.post(MeterCommand(b"x"))
