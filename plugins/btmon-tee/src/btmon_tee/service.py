# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sink and the source have in common: the settings that say who reads, and the service to these readers."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from btcore import Claim, Problem, setting
from btcore.serve import listen_claims, parse_listen_address
from btmon_ip.listeners import listen
from btmon_ip.peers import networks
from btmon_tee.callers import Callers
from btmon_tee.readers import Reader, Readers


def _check_listen(_instance: object, _attribute: Any, value: str) -> None:  # noqa: ANN401 - attrs' own type
    if value:
        parse_listen_address(value)


def _check_addresses(_instance: object, _attribute: Any, values: list[str]) -> None:  # noqa: ANN401 - as above
    for value in values:
        parse_listen_address(value)


def _check_networks(_instance: object, _attribute: Any, values: list[str]) -> None:  # noqa: ANN401 - as above
    networks(values)


@attrs.frozen
class ReaderService:
    """The readers of one table, those that connect and those that are connected to."""

    readers: Readers
    callers: Callers

    def close(self) -> None:
        """End all connections."""
        self.callers.stop()
        self.readers.close()
        self.callers.join()


@attrs.define(kw_only=True, eq=False, slots=False)
class ReaderSettings:
    """Base of the plugin classes of this package."""

    listen: str = setting(
        default="",
        help='HOST:PORT that readers connect to, such as "0.0.0.0:8084"; empty: none',
        validator=_check_listen,
    )
    send_to: list[str] = setting(  # noqa: RUF009 - a field
        factory=list,
        help='HOST:PORT of readers that wait for a meter to connect, such as "192.168.1.30:8000" (a DashBox)',
        validator=_check_addresses,
    )
    allow: list[str] = setting(  # noqa: RUF009 - a field
        factory=list,
        help="accept readers from these networks and addresses only; empty: from all",
        validator=_check_networks,
    )
    max_readers: int = setting(
        default=16,
        help="maximum number of readers that are connected at once; above it, a new one is refused",
        validator=attrs.validators.ge(1),
    )

    def _reader_problems(self) -> Iterator[Problem]:
        if not self.listen and not self.send_to:
            yield Problem(
                'nobody can read: set listen = "0.0.0.0:8084" for readers that connect, or send_to for those that wait',
                key="listen",
            )

    def _reader_claims(self) -> Iterator[Claim]:
        if self.listen:
            yield from listen_claims(self.listen)
        yield from (Claim(f"tcp connection to {address.lower()}", key="send_to") for address in self.send_to)

    def _serve(
        self, log: logging.Logger, received: Callable[[Reader, bytes], bool], left: Callable[[Reader], object]
    ) -> ReaderService:
        """Begin to serve the readers. Raises Retry if the port is not available."""
        readers = Readers(
            listen(*parse_listen_address(self.listen), log) if self.listen else [],
            max_readers=self.max_readers,
            allow=networks(self.allow),
            received=received,
            left=left,
            log=log,
        )
        return ReaderService(readers, Callers(self.send_to, readers, log))
