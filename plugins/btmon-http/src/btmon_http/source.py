# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `http`: its settings. What happens on the connections is in `connections.py`."""

from collections.abc import Iterable

import attrs

from btcore import Context, DiagnosisContext, Discovered, Duration, Finding, Secret, plugin, setting
from btmon_http.connections import HttpConnections
from btmon_ip.addresses import LAST_PORT
from btmon_ip.connections import ServerConnections
from btmon_ip.listeners import listen
from btmon_ip.peers import networks
from btmon_ip.server import TcpServer
from btmon_ip.succession import Sockets


@plugin(api=1)
class Http(TcpServer):
    """Receives what GEMs send over HTTP by themselves, without a gateway."""

    decoders = ("ascii",)

    port: int = setting(
        default=8080,
        help="the TCP port that the GEM sends to; 0: any free port, which the log names",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(LAST_PORT)),
    )
    token: Secret = setting(
        default=Secret(""),
        help="take only requests with this word in their path, or as their key; empty: take all",
        example="a-long-word",
    )
    request_timeout: Duration = setting(
        default=Duration(60),
        help="the longest time from the first byte of a request to its last",
        validator=attrs.validators.gt(0),
    )

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Offer the port for a GEM that sends text by itself."""
        text = "a GEM that sends HTTP to this computer, with the packet format HTTP GET"
        yield Discovered(kind="source", text=text, settings={"port": 8080}, ask=("port",), is_present=False)

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out who has the port, or that nobody sends a packet to it."""
        from btmon_http.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self, context)

    def _serve(self, context: Context, left: Sockets) -> ServerConnections:
        """Return the connections, with what the last instance left. Raises Retry."""
        return HttpConnections(
            left.listeners or listen(self.host, self.port, context.log),
            idle_timeout=self.idle_timeout,
            max_connections=self.max_connections,
            numbers=self._numbers,
            context=context,
            allow=networks(self.allow),
            connected=left.connections,
            token=self.token,
            request_timeout=self.request_timeout,
        )
