# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspection of a capture: which parts cannot be read, and what the file is if there is no packet in it.

What bytes are is `decode/recognition.py`'s; what is said of a source that runs is `sources/no_packets.py`'s.
"""

from collections.abc import Callable

from btcore.capture.files import CaptureError
from btcore.classes import define, evolve, field
from btcore.decode.framing import Stream, StreamCounts
from btcore.decode.recognition import SAMPLE, UNDONE, Kind, recognize

EXPECTED = (
    "Expected a capture in a packet format of the installed decoders (`btcore plugins brultech` lists those of"
    " Brultech's meters); docs/meters.md has the kinds of captures"
)

GENERAL = ("text", "senseless")
"""Kinds whose advice does not help with a file."""

MAX_REPORTED = 5
"""Parts of a capture that cannot be read and are reported one by one; more are only counted."""

MAX_SAMPLES = 100
"""Streams whose beginning is kept, as long as no packet was found."""


@define
class Inspection:
    """What was found in a capture: `counts`. `say` shows a line of text to a person."""

    file: str
    formats: tuple[str, ...]
    say: Callable[[str], None]
    counts: StreamCounts = field(factory=StreamCounts)
    _damage: int = 0
    _has_undone: bool = False
    _samples: dict[str, bytes] = field(factory=dict)
    _unwanted: str = ""

    def saw(self, name: str, data: bytes, stream: Stream) -> None:
        """Inspect bytes that were fed to a stream."""
        self._unwanted = stream.unwanted or self._unwanted
        if stream.undone and not self._has_undone:
            self._has_undone = True
            self.say(f"in {name or self.file} {UNDONE}")
        if not self.counts.packets and (name in self._samples or len(self._samples) < MAX_SAMPLES):
            self._samples[name] = (self._samples.get(name, b"") + data)[:SAMPLE]

    def damaged(self, error: CaptureError) -> None:
        """Report a part that cannot be read, the first few times."""
        self._damage += 1
        if self._damage <= MAX_REPORTED:
            self.say(str(error))

    def finish(self) -> None:
        """Report how many more parts cannot be read, and what the file is if there is no packet in it."""
        if self._damage > MAX_REPORTED:
            self.say(f"{self.file}: {self._damage - MAX_REPORTED} more of these")
        if not self.counts.packets:
            self.say(f"no packet in {self.file}: {self._what()}")

    def _what(self) -> str:
        kinds = {self._kind(sample): len(sample) for sample in self._samples.values() if sample}
        if not kinds:
            return f"no bytes of a meter are in it. {EXPECTED}" if self._damage else "it is empty"
        kind = max(kinds, key=lambda kind: (kind.is_meter, kinds[kind]))
        return f"{kind.seen}. {EXPECTED if kind.name in GENERAL else kind.advice}"

    def _kind(self, sample: bytes) -> Kind:
        kind = recognize(sample, self.formats, unwanted=self._unwanted, damaged=self.counts.damaged > 0)
        if kind.name.startswith("left out"):
            return evolve(kind, advice="Add it to --formats")
        return kind
