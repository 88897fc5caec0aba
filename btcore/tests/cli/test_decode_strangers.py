# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore decode` with the decoders of others, also with broken ones."""

from pathlib import Path

import pytest
from helpers.decode_command import ECM, Capture, Write, decode
from helpers.distributions import install_distribution

from btcore.cli import OK, main

STRANGERS = """
    from asyncio import CancelledError

    from btcore import Channel, Damaged, Format, Incomplete, Packet, Stop, hookimpl, plugin, setting

    SUN = Format("sun", ("secs", "pv1_ws"), (Channel("pv1", "pv1_ws"),), unpack=lambda raw: eval(raw)["n"])

    @plugin(api=1)
    class Sun:
        packet_formats = (SUN,)

        @hookimpl
        def decode_packet(self, buffer):
            line, end, _ = bytes(buffer).partition(b"\\n")
            if not line.startswith(b'{"n"'[:len(line)]):
                return None
            return Packet(len(line) + 1, SUN, "77", line + end) if end else Incomplete()

    @plugin(api=1)
    class Opening(Sun):
        @hookimpl
        def open(self):
            raise Stop("no licence \\x1b[2J")

    @plugin(api=1)
    class Needing(Sun):
        key: str = setting(help="a key")

    @plugin(api=1)
    class Crashing(Sun):
        def __attrs_post_init__(self):
            raise CancelledError("not \\x1b[2J now")

    @plugin(api=1)
    class Failing(Sun):
        @hookimpl
        def decode_packet(self, buffer):
            raise RuntimeError("cannot \\x1b[2J")

    @plugin(api=1)
    class Sink:
        @hookimpl
        def process_batch(self, batch):
            pass
"""


def test_every_installed_decoder_is_asked(
    tmp_path: Path, capture: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A capture is read by all decoders that are installed; JSON that a meter sent is not taken for a capture's."""
    monkeypatch.syspath_prepend(tmp_path)
    install_distribution(tmp_path, "stranger-sun", STRANGERS, {"sun": "Sun", "tank": "Sink"})
    path = capture(b'{"n": [1, 0]}\n', b'{"n": [11, 36000]}\n')
    found, said = decode(capsys, path, "--samples", "--polarity", "btmon")
    assert [(one["serial"], one["values"]["pv1_wh"]) for one in found] == [("77", -10.0)]
    assert said == "2 packets, 0 junk bytes, 0 damaged packets"
    found, _ = decode(capsys, capture(b'{"n": [1, 0]}\n', ECM[0]), "--formats", "sun")
    assert [one["format"] for one in found] == ["sun"]


def test_a_broken_decoder_is_told_and_left_out(
    tmp_path: Path, capture: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with a decoder, it is told in a line, no terminal is steered by it, and the others decode."""
    monkeypatch.syspath_prepend(tmp_path)
    names = ("opening", "needing", "crashing", "failing")
    install_distribution(tmp_path, "stranger-bad", STRANGERS, {name: name.capitalize() for name in names})
    install_distribution(tmp_path, "stranger-worse", "raise GeneratorExit", {"worse": "Worse"})
    assert main(["decode", str(capture(b"?", ECM[0]))]) == OK
    out, err = capsys.readouterr()
    assert out.startswith("20")
    *told, last = err.splitlines()
    beginnings = (
        'skipped: plugin "worse" of stranger-worse 1.0 cannot be imported (GeneratorExit); its entry point is',
        'skipped: the decoder "crashing": CancelledError: not',
        'skipped: the decoder "needing": it has required settings (key), which only a site.toml can set',
        'the decoder "failing" failed and was taken to answer "not mine": RuntimeError: cannot',
        'the decoder "opening" cannot be opened, and is left out: no licence',
    )
    assert len(told) == len(beginnings)
    for line, beginning in zip(sorted(told), beginnings, strict=True):
        assert line.startswith(beginning)
    assert "\x1b" not in err
    assert last == "1 packet, 1 junk byte, 0 damaged packets"
