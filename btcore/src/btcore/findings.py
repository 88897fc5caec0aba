# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: what `btcore doctor` reports, and what a plugin is given to find more of them.

A plugin's instance may have a method `diagnose(self, context: DiagnosisContext) -> Iterable[Finding]`. It is optional,
like `check` and `claims`: no hook, and asked by `btcore doctor` alone. What the core itself finds is in the wing
`doctor`.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from btcore.classes import field, frozen

if TYPE_CHECKING:
    import attrs

CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A code: small letters, digits and hyphens."""


def _check_text(finding: object, attribute: "attrs.Attribute[str]", text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{type(finding).__name__}: {attribute.name}: expected text, found {text!r:.80}")


def _check_code(finding: object, attribute: "attrs.Attribute[str]", code: object) -> None:
    _check_text(finding, attribute, code)
    if not CODE.fullmatch(str(code)):
        raise ValueError(f'a finding\'s code: expected words such as "port-in-use", found {code!r:.80}')


@frozen
class Finding:
    """One thing that is wrong: a stable code, what was found, and what to do about it.

    `where` is the table, the meter or the file that it is about; "" means the table of the plugin that found it.
    `settings` are those of that table that would mend it, as a site.toml has them: `btcore init --interactive` offers
    them. Raises TypeError or ValueError for anything but text, and for a code that is not words with hyphens.
    """

    code: str = field(validator=_check_code)
    text: str = field(validator=_check_text)
    advice: str = field(validator=_check_text)
    where: str = field(default="", validator=_check_text)
    settings: Mapping[str, object] = field(factory=dict, eq=False)


def _no_packets(_data: bytes) -> tuple[str, ...]:
    return ()


@frozen(kw_only=True)
class DiagnosisContext:
    """What a plugin's `diagnose` is given.

    `name` is its table. `is_running`: a btcore runs with this table, as the process `process`, and holds what the
    plugin opens: then `diagnose` opens nothing that only one program can use. Otherwise the instance was opened, was
    asked for data for at most `seconds`, and is closed again; `diagnose` may take about as long once more.

    `failure` is the error that the instance raised, or the running one's last error while it fails; "" if there is
    none. For a source: `serials` are the meters that were heard, `received` is the beginning of what came in without a
    packet, and `kind` what the core takes that for (as in docs/doctor.md: `senseless`, `keep-alive`, `nothing`).
    `find_packets` returns the serial numbers of the packets in some bytes.
    """

    name: str
    is_running: bool = False
    process: int | None = None
    seconds: float = 10.0
    failure: str = ""
    received: bytes = b""
    kind: str = ""
    serials: tuple[str, ...] = ()
    find_packets: Callable[[bytes], tuple[str, ...]] = field(default=_no_packets, repr=False)
