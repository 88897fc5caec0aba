# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and changing a meter by a conversation: the order of the questions for a GEM and for an ECM.

The bytes are those of `gem.py` and `ecm.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from btcore.classes import define, evolve, frozen
from btcore.device import ecm, gem
from btcore.device.conversation import Conversation, Line, NoAnswer, line_reader
from btcore.device.settings import Change, ChangeRefused, DeviceSettings, Family

T = TypeVar("T")

PACKET_UNDER_WAY = 3.0
"""Seconds for which a packet may still come after SYSPDL (GEM-CMD 10.0)."""

ECM_QUIET = 0.3
"""Seconds for which what comes in may end before an ECM is addressed."""

PROBE_TIMEOUT = 2.0
"""Seconds that a device byte has for its acknowledgement where it is not known which one a meter has."""

Now = Callable[[], datetime]
"""Returns the time that `clock=now` sets."""


@frozen(kw_only=True)
class Target:
    """The meter that is meant: its serial number and family where they are known, its device byte, if it was given.

    `shared`: other GEMs are on the same line, so that commands have to be addressed.
    """

    serial: str = ""
    family: Family | None = None
    device: str = ""
    shared: bool = False


def read_settings(line: Line, target: Target) -> DeviceSettings:
    """Ask a meter for all its settings. Raises CommandFailed."""
    return _meter(line, target).read()


def change_settings(line: Line, target: Target, changes: Sequence[Change], now: Now) -> DeviceSettings:
    """Change settings of a meter, and read them again. Raises CommandFailed, ChangeRefused."""
    meter = _meter(line, target)
    meter.change(changes, now)
    return meter.read()


def set_clock(line: Line, target: Target, now: Now) -> None:
    """Set the clock of a GEM, and nothing else. Raises CommandFailed."""
    meter = _Gem(Conversation(line, _name(target)), target.serial if target.shared else "")
    meter.hold_packets()
    meter.change([Change("clock", "now")], now)


def _meter(line: Line, target: Target) -> "_Gem | _Ecm":
    """Find the meter: one whose family is not known is asked as a GEM first, then as an ECM. Raises CommandFailed."""
    talk = Conversation(line, _name(target))
    failure = None
    if target.family != "ecm":
        number = target.serial if target.shared else target.device if target.device.isdigit() else ""
        meter = _Gem(talk, number)
        meter.hold_packets()
        try:
            meter.identify(target.serial)
        except NoAnswer as error:
            if target.family == "gem" or target.device.isdigit():
                raise
            failure = error
        else:
            return meter
    return _find_ecm(talk, target, failure)


def _find_ecm(talk: Conversation, target: Target, failure: NoAnswer | None) -> "_Ecm":
    talk.settle(ECM_QUIET)
    candidates = [target.device] if target.device else list(ecm.DEVICES) if target.serial else ["fc"]
    others = []
    for device in candidates:
        meter = _Ecm(evolve(talk, timeout=PROBE_TIMEOUT if len(candidates) > 1 else talk.timeout), device)
        try:
            settings = meter.ask_settings()
        except NoAnswer as error:
            talk.packets = meter.talk.packets
            failure = failure or error
            continue
        if not target.serial or settings.serial == target.serial:
            meter.talk.timeout = talk.timeout
            return meter
        others.append(f"{device} is meter {settings.serial}")
    if others:
        raise NoAnswer(f"meter {target.serial} did not answer under any device byte: {', '.join(others)}")
    if target.family == "ecm":
        _raise_if_gem(talk)
    raise failure or NoAnswer(f"{talk.name} did not answer")


def _raise_if_gem(talk: Conversation) -> None:
    """Raise NoAnswer if a GEM answers: one that is set to the format of an ECM sends as several of them."""
    meter = _Gem(talk, "")
    meter.hold_packets()
    try:
        meter.identify("")
    except NoAnswer:
        return
    raise NoAnswer(
        f"{talk.name} is one of the ECMs that the GEM {meter.serial} poses as (packet format 1): name the source, and"
        f" add --device {meter.serial}"
    )


def _name(target: Target) -> str:
    return f"meter {target.serial}" if target.serial else "the meter"


@define
class _Gem:
    """A GEM: `number` addresses it where several share the line."""

    talk: Conversation
    number: str
    serial: str = ""

    def hold_packets(self) -> None:
        """Hold its packets back for 15 seconds, and let the one under way come."""
        self.talk.send_unanswered(gem.command(gem.DELAY, self.number), PACKET_UNDER_WAY)

    def identify(self, expected: str) -> None:
        """Ask for its serial number. Raises NoAnswer if it is another one than is expected."""
        self.serial = self._query("RQSSRN", gem.parse_serial, "a serial number")
        if expected and self.serial[-5:] != expected[-5:]:
            raise NoAnswer(
                f"meter {expected} was asked, and meter {self.serial} answered: nothing was changed. Which meter is on"
                " this line? `btcore device list` shows the serial numbers"
            )
        self.serial = expected or self.serial

    def read(self) -> DeviceSettings:
        """Ask for all settings. Raises NoAnswer."""
        firmware = self._query("RQSVR1", gem.parse_firmware, "a version")
        real_time = self._query("RQSRTL", gem.parse_real_time, "ON or OFF")
        answered = self.talk.ask(
            gem.command("RQSALL", self.number), _read_all, "settings (RQSALL)", "with its settings"
        )
        return DeviceSettings(
            meter=self.serial,
            family="gem",
            firmware=firmware,
            format=answered.format,
            secondary_format=answered.secondary_format,
            interval=answered.interval,
            real_time=real_time,
            pt_type=answered.pt_type,
            pt_range=answered.pt_range,
            channels=answered.channels,
        )

    def change(self, changes: Iterable[Change], now: Now) -> None:
        """Send the command of each change, and wait for what acknowledges it. Raises NoAnswer, ChangeRefused."""
        for change in changes:
            try:
                order = gem.order(change, now())
            except ValueError as error:
                raise ChangeRefused(f"{change.name}: {error}") from None
            self._tell(order)

    def _tell(self, order: gem.Order) -> None:
        data = gem.command(order.words, self.number)
        if not order.answer:
            self.talk.send_unanswered(data, ECM_QUIET)
            return
        words = order.words.strip()
        self.talk.ask(data, line_reader(order.answer), f"the command {words}", f'"{order.answer}"')

    def _query(self, words: str, parse: Callable[[str], T], expected: str) -> T:
        read = partial(_read_line, parse=parse)
        return self.talk.ask(gem.command(words, self.number), read, f"the question {words}", f"with {expected}")


def _read_line(data: bytes, parse: Callable[[str], T]) -> T | None:
    """Return what the first line says that is an answer: a keep-alive may be any text."""
    for line in gem.answer_lines(data):
        with suppress(ValueError):
            return parse(line)
    return None


def _read_all(data: bytes) -> gem.AllSettings | None:
    """Return the settings in the line after ALL."""
    _, all_, rest = data.partition(b"ALL\r\n")
    lines = gem.answer_lines(rest) if all_ else []
    return gem.parse_settings(lines[0]) if lines else None


@define
class _Ecm:
    """An ECM, addressed by its device byte."""

    talk: Conversation
    device: str

    def ask_settings(self) -> ecm.EcmSettings:
        """Ask for the block of settings. Raises NoAnswer."""
        *words, last = ecm.READ
        self._address()
        for word in words:
            self._word(word)
        return self.talk.ask(last, _read_block, "settings (SET RCV)", "with its settings")

    def read(self) -> DeviceSettings:
        """Ask for all settings. Raises NoAnswer."""
        found = self.ask_settings()
        return DeviceSettings(
            meter=found.serial,
            family="ecm",
            device=self.device,
            firmware=str(found.firmware),
            interval=found.interval,
            pt_type=found.pt_type,
            pt_range=found.pt_range,
            channels=found.channels,
        )

    def change(self, changes: Iterable[Change], _now: Now) -> None:
        """Send the words of each change; both numbers of a current transformer go together. Raises NoAnswer."""
        types: dict[str, dict[str, int]] = {}
        for change in changes:
            if change.channel:
                types.setdefault(change.channel, {})[change.key] = int(str(change.value))
            else:
                self._tell(ecm.interval_words(change))
        if types:
            before = {one.channel: one for one in self.ask_settings().channels}
            for channel, numbers in types.items():
                old = before[channel]
                ct_type, ct_range = numbers.get("ct_type", old.ct_type), numbers.get("ct_range", old.ct_range)
                self._tell(ecm.ct_words(channel, ct_type, ct_range))

    def _tell(self, words: Sequence[bytes]) -> None:
        self._address()
        for word in words:
            self._word(word)

    def _address(self) -> None:
        self._word(bytes.fromhex(self.device))

    def _word(self, word: bytes) -> None:
        name = word.decode() if word.isalnum() else word.hex()
        self.talk.ask(word, _read_acknowledgement, f"the word {name}", "with fc")


def _read_acknowledgement(data: bytes) -> bool | None:
    return True if ecm.ACKNOWLEDGE in data else None


def _read_block(data: bytes) -> ecm.EcmSettings | None:
    """Read the acknowledgement and the settings behind it."""
    start = data.find(ecm.ACKNOWLEDGE)
    block = data[start + 1 :][: ecm.SETTINGS_SIZE]
    return None if start < 0 or len(block) < ecm.SETTINGS_SIZE else ecm.parse_settings(block)
