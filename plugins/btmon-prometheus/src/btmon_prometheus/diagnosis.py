# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the port of the exporter, or with the way to a receiver. Nothing is stored."""

from collections.abc import Callable, Iterator

from btcore import BtcoreError, DiagnosisContext, Finding, Stop, processes_listening
from btcore.serve import parse_listen_address


def diagnose_exporter(listen: str, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield who has the port."""
    port = parse_listen_address(listen)[1]
    holders = processes_listening(port, besides=context.process) if context.failure else []
    if holders:
        text = f"TCP port {port} is held by {', '.join(holders)}"
        yield Finding("port-in-use", text, "Stop it, or set another port in `listen` and in Prometheus")


def diagnose_receiver(post: Callable[[], None]) -> Iterator[Finding]:
    """Yield what an empty request comes to."""
    try:
        post()
    except Stop as error:
        yield Finding("credentials", str(error), "Check `url`, and `token` or `user` and `password`")
    except BtcoreError as error:
        yield Finding("unreachable", str(error), "Check `url`, and that the receiver runs; readings wait meanwhile")
