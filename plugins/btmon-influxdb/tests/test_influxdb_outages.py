# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is down, restarted or killed, and one whose TLS does not fit: all is there in the end, and once."""

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
from helpers.certificates import make_certificate
from helpers.influxdb_sinks import recorded_batch, settings_for
from servers.database_servers import free_port
from servers.time_series_servers import InfluxDB, TimeSeriesServer, VictoriaMetrics

from btcore import Batch, DiagnosisContext, Retry, Stop
from btcore.testing import HostedService, Reply
from btmon_influxdb.sink import InfluxDB as Sink

pytestmark = pytest.mark.servers

Opened = Callable[..., Sink]


@pytest.fixture(params=[InfluxDB, VictoriaMetrics])
def server(request: pytest.FixtureRequest) -> Iterator[TimeSeriesServer]:
    """Run a server for one test, which may stop it."""
    with request.param() as running:
        yield running


def watts_in(server: TimeSeriesServer) -> int:
    """Count the values of power that a server has; of one that it has twice, both."""
    if isinstance(server, VictoriaMetrics):
        return sum(len(series["values"]) for series in server.export('{__name__="energy_watts",channel="ch1"}'))
    assert isinstance(server, InfluxDB)
    found = server.query("SELECT watts FROM energy WHERE channel = 'ch1'", "house")
    return sum(len(series["values"]) for series in found)


def test_a_server_that_is_down_is_waited_for(opened: Opened) -> None:
    """Where nobody listens, the batch waits; once the server is there, it has all of it."""
    port = free_port()
    sink = opened(url=f"http://127.0.0.1:{port}", database="house")
    with pytest.raises(Retry, match=r"no answer from 127\.0\.0\.1:\d+: Connection refused"):
        sink.process_batch(recorded_batch())
    with InfluxDB(port) as server:
        sink.process_batch(recorded_batch())
        assert watts_in(server) == len(recorded_batch().samples)


def test_an_outage_waits(server: TimeSeriesServer, opened: Opened) -> None:
    """What came while the server was down is there afterwards, each value once."""
    batch = recorded_batch()
    first, rest = Batch(batch.readings[:4], batch.samples[:3]), Batch(batch.readings[4:], batch.samples[3:])
    sink = opened(**settings_for(server))
    sink.process_batch(first)
    server.stop()
    with pytest.raises(Retry):
        sink.process_batch(rest)
    server.start()
    sink.process_batch(rest)
    assert watts_in(server) == len(batch.samples)


class SecureInfluxDB(InfluxDB):
    """An InfluxDB that speaks https, with a certificate for 127.0.0.1."""

    def __init__(self) -> None:
        """Make the certificate."""
        super().__init__()
        self.certificate, key = make_certificate(self.folder)
        files = f'https-certificate = "{self.certificate}"\nhttps-private-key = "{key}"'
        self.http = f"https-enabled = true\n{files}"

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"https://127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        """Whether it answers with its certificate."""
        context = ssl.create_default_context(cafile=self.certificate)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
                context.wrap_socket(plain, server_hostname="127.0.0.1").close()
        except OSError:
            return False
        return True


def test_tls_that_does_not_fit_waits_and_says_what_to_do(opened: Opened) -> None:
    """With an unknown certificate, or one of another name, the batch waits; with `ssl_ca` it is taken."""
    with SecureInfluxDB() as server:
        trusted = settings_for(server, ssl_ca=server.certificate)
        opened(**trusted).process_batch(recorded_batch())
        assert list(Sink(**trusted).diagnose(DiagnosisContext(name="sink.test"))) == []
        for settings in (settings_for(server), trusted | {"url": f"https://localhost:{server.port}"}):
            with pytest.raises(Retry, match=r"certificate verify failed: .*; name the server as its certificate does"):
                opened(**settings).process_batch(recorded_batch())


def test_http_where_the_server_speaks_https(opened: Opened) -> None:
    """What InfluxDB answers to it is no fault of a reading: the line says what to set."""
    reply = Reply(400, "Client sent an HTTP request to an HTTPS server.\n")
    with HostedService(reply) as server, pytest.raises(Stop, match="`url` has to begin with https"):
        opened(**settings_for(server)).process_batch(recorded_batch())


def test_https_where_the_server_speaks_http(influxdb: InfluxDB, opened: Opened) -> None:
    """It is no fault of the network: the line says to look at the address."""
    with pytest.raises(Retry, match="it speaks no https: is `url` right"):
        opened(url=f"https://127.0.0.1:{influxdb.port}", database="house").process_batch(recorded_batch())
