# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and other programs write: configurations, expressions, requests of commands, answers of services.

A mistake is refused with the error that is meant for it; nothing else may be raised.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from fuzz.parser import Parser

from btcore.config.load import load_site
from btcore.config.toml import read
from btcore.control.server import ControlServer
from btcore.errors import ConfigurationError, Reject, Retry, Stop
from btcore.virtual.expressions import InvalidExpression, parse
from btcore.web import Answer, raise_for_answer
from btmon_migrate.given import Doubts, Options
from btmon_migrate.ini import read_ini

SITE = b"""state = "state"
polarity = "btmon"
retention = "3d"
[source.panel]
use = "tcp-server"
port = 8083
formats = ["gem48pbin"]
allow = ["192.168.1.0/24"]
serial = "300001"
[sink.history]
use = "sqlite"
file = "energy.db"
interval = "5m"
[sink.print]
[channels]
"01000777_ch1" = "solar"
"01000777_p1" = { name = "water", unit = "L", per_pulse = 0.5, class = "water" }
house = { expression = "solar + 2 * 01000777_ch5 - '01000777_ch6' / 3" }
[meters]
barn = { source = "panel", address = "10.0.0.1", sends = ["000000"], serial = "300002" }
"""
SETTINGS = [
    *SITE.splitlines(keepends=True),
    b'a = """\nb"""\n',
    b"a = [\n1, 2,\n]\n",
    b"[[a.b]]\nc = 1979-05-27T07:32:00Z\n",
    b'"a" = {b = 1, c.d = 0x1F}\n',
]
EXPRESSIONS = [b"mains_a + mains_b - 2 * ch5", b"(a - 'b c') / 0.5", b"-(-a * (2 - 1) + b)", b'3 * "x y" - a-b']
REQUESTS = [b'{"command": "status"}\n', b'{"command": "replay", "sink": ["a", 1], "from": null}\n', b"[[[[{}]]]]\n"]
ANSWERS = [b"429\nretry-after: 7\n\nslow down", b"503\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\n\n", b"200\n\nok"]
INI = (
    b'[source]\nserial_read = true\nserialport = /dev/ttyUSB0 ; port\n[p]\npvo_out=True\npvo_api_key = "x#y"\n  more\n'
)

FILE = Path(tempfile.mkdtemp(prefix="fuzz-")) / "site.toml"
SERVER = ControlServer(FILE.parent)
SERVER.serve({"status": lambda request: [dict(request)]})


def read_toml(data: bytes) -> None:
    """Read a text as TOML: each mistake has its line."""
    text = data.decode("utf-8", "replace")
    for mistake in read(text).mistakes:
        assert 1 <= mistake.line <= text.count("\n") + 2


def read_configuration(data: bytes) -> None:
    """Read a file as a configuration: it is one, or its mistakes are told."""
    FILE.write_bytes(data)
    with suppress(ConfigurationError):
        load_site(FILE)


def read_expression(data: bytes) -> None:
    """Read an expression: channels with numbers that are not 0, or what is wrong with it."""

    def resolve(name: str) -> Mapping[str, Fraction]:
        return {name: Fraction(1)}

    with suppress(InvalidExpression):
        found = parse(data.decode("utf-8", "replace"), resolve)
        assert found
        assert all(found.values())


def answer_request(data: bytes) -> None:
    """Answer a request over the control socket."""
    assert list(SERVER._answers(data))


def judge_answer(data: bytes) -> None:
    """Judge what a service answers: a code, headers, a body."""
    head, _, body = data.decode("latin-1").partition("\n\n")
    code, *lines = head.split("\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answer = Answer(int(code) if code.isascii() and code.isdecimal() and len(code) == 3 else 200, body, headers)
    assert answer.retry_after is None or answer.retry_after >= 0
    with suppress(Retry, Reject, Stop):
        raise_for_answer(answer, (), "a service")


def read_old_configuration(data: bytes) -> None:
    """Read a configuration of btmon."""
    read_ini(data.decode("utf-8", "replace"), "btmon.cfg", Options(Doubts()))


PARSERS = {
    "toml": Parser(read_toml, [*SETTINGS, SITE]),
    "configuration": Parser(read_configuration, [SITE]),
    "expressions": Parser(read_expression, EXPRESSIONS),
    "control": Parser(answer_request, REQUESTS),
    "services": Parser(judge_answer, ANSWERS),
    "btmon-configuration": Parser(read_old_configuration, [INI]),
}
