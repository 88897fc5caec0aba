# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a port that GEMs send requests to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btcore import Finding
from btmon_ip.diagnosis import diagnose_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btcore import DiagnosisContext
    from btmon_http.source import Http


def diagnose(source: Http, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield who has the port, or that no packet comes."""
    if context.failure:
        yield from diagnose_server(source, context)
    elif context.kind == "nothing":
        yield Finding(
            "nothing-received",
            f"no request with a packet has come to port {source.port}",
            "Set the GEM to send over HTTP to the address of this computer and to this port, with the packet format"
            " HTTP GET (3), and let it through the firewall. The log of btcore run says which requests are refused, and"
            " why",
        )
