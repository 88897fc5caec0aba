# SPDX-License-Identifier: GPL-3.0-or-later
"""One decoder plugin at work: asked about bytes, and its answers checked.

The one place where `decode_packet` is called, and where what a plugin returns is checked: after that, nothing of a
packet is lazy or doubtful. A plugin that raises is taken to answer "not mine". A packet that is not valid, or cannot be
unpacked, is a damaged one. In which order decoders are asked is decided in `decoders.py`.
"""

import logging
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from btcore.classes import define, field, fields
from btcore.decode.fault_reports import FaultReports
from btcore.errors import InvalidPluginResult
from btcore.formats import MAX_NAME, Format, check_name, describe_type, packet_formats
from btcore.hook_calls import Hook, hook_caller
from btcore.records import Damaged, Incomplete, Packet, Unwanted
from btcore.settings import Context

MAX_FORMATS = 1000
"""Formats that are remembered as checked; above it, they are checked again."""


@define(eq=False)
class Decoder:
    """One decoder plugin of a worker.

    `is_own`: the instance is this worker's own, and is opened and closed by it. `packets` and `damaged` count answers.
    """

    instance: object
    context: Context
    reports: FaultReports
    is_own: bool = False
    packets: int = 0
    damaged: int = 0
    calls: Any = field(init=False)
    _decode: Callable[[memoryview], Any] = field(init=False)
    _checked_formats: set[Format] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        """Register it in a plugin manager of its own: a decoder that raises must not keep the others from answering."""
        self.calls = hook_caller(self.instance, self.context.name)
        self._decode = _function_of(self.calls.decode_packet) or (
            lambda buffer: self.calls.decode_packet(buffer=buffer)
        )

    @property
    def is_alone(self) -> bool:
        """Whether nothing is wrapped around its `decode_packet`, so that a packet may be found without a call."""
        return _function_of(self.calls.decode_packet) is not None

    @property
    def name(self) -> str:
        """Its name in a message: acme, of [decoder.acme]."""
        return decoder_name(self.context)

    def warn(self, what: str, text: str) -> None:
        """Log what is wrong with it, once for each `what`."""
        self.reports.warning(f'the decoder "{self.name}" {text}', (self.name, what))

    def headers(self) -> tuple[bytes, ...]:
        """Return the bytes that its packets start with; nothing if it does not say."""
        header = getattr(self.instance, "header", ())
        headers = (header,) if isinstance(header, bytes) else header
        if isinstance(headers, tuple) and all(isinstance(one, bytes) and one for one in headers):
            return headers
        found = f"found {header!r:.80}; it is asked about every byte"
        self.warn("header", f"has a `header` that cannot be used: expected bytes or a tuple of them, {found}")
        return ()

    def candidate(self) -> bytes:
        """Return the regular expression that matches where a packet may start; b"" if it has none."""
        found = getattr(self.instance, "candidate", b"")
        try:
            re.compile(found if isinstance(found, bytes) else b"(")
        except re.error:
            expected = f"expected a regular expression in bytes, found {found!r:.80}"
            self.warn("candidate", f"has a `candidate` that cannot be used: {expected}")
            return b""
        return bytes(found)

    def ask(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Ask it about the start of a buffer. A packet in the answer is not checked yet: see `check`."""
        try:
            answer: Packet | Incomplete | Damaged | None = self._decode(buffer)
            if answer is not None and not isinstance(answer, Packet | Incomplete):
                _check_damaged(answer, len(buffer))
        except BaseException as error:  # noqa: BLE001 - a plugin's bug must not stop the worker
            self.reports.error(error, f'the decoder "{self.name}" failed and was taken to answer "not mine"', self.name)
            return None
        return answer

    def check(self, packet: Packet, left: int, formats: frozenset[str]) -> Packet | Damaged | Unwanted:
        """Return a packet that is valid, with its numbers, and of one of these formats; else, how much to skip.

        `left` is how many bytes the buffer has. No formats: all are taken.
        """
        size = 1
        try:
            size = _checked_size(packet, left)
            if formats and packet.format.name not in formats:
                return Unwanted(size, packet.format.name)
            _check_fields(packet)
            numbers = packet.format.numbers(packet.raw)
            self._check_format(packet)
            self.packets += 1
        except BaseException as error:  # noqa: BLE001 - as above
            name = str(getattr(packet.format, "name", "?"))[:MAX_NAME]
            what = f'the decoder "{self.name}" made a packet of format {name} that is not valid, and is skipped'
            self.reports.error(error, what, (self.name, name))
            return Damaged("not valid", size)
        return Packet(packet.size, packet.format, packet.serial, packet.raw, numbers)

    def _check_format(self, packet: Packet) -> None:
        """Check, once for each format, that its packets can be decoded again. Raises InvalidPluginResult."""
        if packet.format in self._checked_formats:
            return
        again = self.calls.decode_packet(buffer=memoryview(packet.raw))
        if not isinstance(again, Packet) or (again.serial, again.raw) != (packet.serial, packet.raw):
            raise InvalidPluginResult("decode_packet does not make the same packet of its `raw` again")
        if again.format is not packet.format:
            raise InvalidPluginResult("it makes another Format for each packet; make it once, beside the class")
        if len(self._checked_formats) >= MAX_FORMATS:
            self._checked_formats.clear()
        self._checked_formats.add(packet.format)


def _function_of(caller: Any) -> Callable[[memoryview], Any] | None:  # noqa: ANN401 - as `hook_caller` has it
    """Return a decoder's own `decode_packet`, where nothing is wrapped around it; else None.

    It is called for every packet, and the way to it by its arguments' names takes longer. A trace needs that way.
    """
    return caller.function if isinstance(caller, Hook) and caller.arguments == ("buffer",) else None


def decoder_name(context: Context) -> str:
    """Return the name of a decoder in a message: acme, of [decoder.acme]."""
    return context.name.removeprefix("decoder.")


def default_context(instance: object) -> Context:
    """Return what a decoder that is in no configuration is opened with: a context named after its class."""
    name = f"decoder.{type(instance).__name__.lower()}"
    return Context(name, logging.getLogger(name))


def format_names(instance: object) -> Sequence[str] | None:
    """Return the names of the formats that a decoder takes: those of its setting `formats`, or all; None: not known."""
    own = packet_formats(instance)
    if own is None:
        return None
    return getattr(instance, "formats", ()) or [form.name for form in own]


def copy_of(instance: object, formats: frozenset[str]) -> object:
    """Make another instance with the same settings; its setting `formats`, if it has one, is narrowed to these."""
    cls: Any = type(instance)
    settings = {
        field.alias: deepcopy(getattr(instance, field.name))
        for field in fields(cls)
        if field.init and "help" in field.metadata
    }
    names = format_names(instance)
    if formats and names is not None and "formats" in settings:
        settings["formats"] = tuple(name for name in names if name in formats)
    return cls(**settings)


def _check_damaged(answer: object, left: int) -> None:
    if not isinstance(answer, Damaged):
        raise InvalidPluginResult(
            f"decode_packet answered {describe_type(answer)}; expected a Packet, Incomplete(), Damaged() or None"
        )
    if type(answer.size) is not int or not 1 <= answer.size <= left:
        found = f"found {answer.size!r:.80}"
        raise InvalidPluginResult(f"the size of Damaged: expected from 1 to the {left} bytes of the buffer, {found}")


def _checked_size(packet: Packet, left: int) -> int:
    if type(packet.size) is not int or not 1 <= packet.size <= left:
        found = f"found {packet.size!r:.80}"
        raise InvalidPluginResult(f"the size of a packet: expected from 1 to the {left} bytes of the buffer, {found}")
    if not isinstance(packet.format, Format):
        raise InvalidPluginResult(f"the format of a packet: expected a Format, found {describe_type(packet.format)}")
    return packet.size


def _check_fields(packet: Packet) -> None:
    check_name(packet.serial, "its serial number")
    if type(packet.raw) is not bytes or not packet.raw:
        raise InvalidPluginResult(f"its raw: expected the bytes of the packet, found {describe_type(packet.raw)}")
