# SPDX-License-Identifier: GPL-3.0-or-later
"""`proxy`: a gateway that takes one connection, and several readers, over real sockets."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.sockets import read_exactly
from servers.serial_line import Wire

from btcore import CommandFailed, Retry, pack
from btcore.testing import wait_for
from btmon_ip.client import TcpClient
from btmon_ip.server import TcpServer
from btmon_serial.line import SerialLine
from btmon_tee import proxy, readers, turns
from btmon_tee.proxy import Proxy

if TYPE_CHECKING:
    from conftest import Gateway, Site

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

PACKETS = [pack("gem48ptbin", "01000777", {"volts": 120.0, "secs": secs}) for secs in range(4)]
READERS = "0.0.0.0:8084"
SERIAL = SerialLine(port="/dev/ttyUSB0")
ECM = pack("ecm1240bin", "312345", {"volts": 120.0, "secs": 7})


def client(gateway: Gateway) -> TcpClient:
    """Return how the gateway is connected to."""
    return TcpClient(host="127.0.0.1", port=gateway.port)


def test_every_reader_gets_what_the_meter_sends(site: Site) -> None:
    """With one connection to the gateway, each reader and the core get the same bytes."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    clients = [site.reader() for _ in range(3)]
    sent = b"$".join(PACKETS)
    gateway.say(sent)
    for one in clients:
        one.hears(sent)
    assert (running.data, gateway.connections) == (sent, 1)


def test_packets_in_pieces(site: Site) -> None:
    """A packet that comes in pieces is passed on once it is complete, so that a late reader sees no half of one."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    early = site.reader()
    gateway.say(PACKETS[0][:200])
    wait_for(lambda: running.data == PACKETS[0][:200])
    late = site.reader()
    gateway.say(PACKETS[0][200:])
    early.hears(PACKETS[0])
    late.hears(PACKETS[0])


def test_the_answer_goes_to_who_asked(site: Site) -> None:
    """What a meter answers goes to the reader that asked, and a packet that comes meanwhile to all."""
    gateway = site.gateway(lambda data: PACKETS[0] + b"01000777\r\n" if b"RQSSRN" in data else b"")
    site.proxy(tcp_client=client(gateway))
    asking, other = site.reader(), site.reader()
    gateway.say(PACKETS[1])
    other.hears(PACKETS[1])
    asking.send(b"^^^RQSSRN")
    asking.hears(PACKETS[1] + PACKETS[0] + b"01000777\r\n")
    other.hears(PACKETS[1] + PACKETS[0])


def test_commands_are_sent_one_after_the_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader waits for its answer, the command of another one waits; each gets its own answer."""
    monkeypatch.setattr(turns, "QUIET", 0.2)
    gateway = site.gateway()
    site.proxy(tcp_client=client(gateway))
    first, second = site.reader(), site.reader()
    first.send(b"^^^RQSVR1")
    wait_for(lambda: gateway.heard == b"^^^RQSVR1")
    second.send(b"^^^RQSSRN")
    first.send(b"^^^RQSRTL")
    wait_for(lambda: gateway.heard == b"^^^RQSVR1^^^RQSRTL")
    gateway.say(b"4.63\r\nON\r\n")
    wait_for(lambda: gateway.heard.endswith(b"^^^RQSSRN"))
    gateway.say(b"01000777\r\n")
    second.hears(b"01000777\r\n")
    first.hears(b"4.63\r\nON\r\n")


def test_an_ecm_is_asked_by_a_reader(site: Site) -> None:
    """The bytes that acknowledge go to who asks, one by one; the packet goes to all."""
    answers = {b"\xfc": b"\xfc", b"SPK": b"\xfc" + ECM}
    gateway = site.gateway(lambda data: answers[data])
    site.proxy(tcp_client=client(gateway))
    asking, other = site.reader(), site.reader()
    asking.send(b"\xfc")
    asking.hears(b"\xfc")
    asking.send(b"SPK")
    asking.hears(b"\xfc\xfc" + ECM)
    other.hears(ECM)


def test_the_end_of_an_answer_that_looks_like_a_packet(site: Site) -> None:
    """Bytes that may begin a packet are shown to who asked when the line is quiet, and the packet goes to all."""
    gateway = site.gateway(lambda _data: b"\x12\xfe")
    site.proxy(tcp_client=client(gateway))
    asking, other = site.reader(), site.reader()
    asking.send(b"?")
    asking.hears(b"\x12\xfe")
    gateway.say(b"\x34")
    asking.hears(b"\x12\xfe\x34")
    gateway.say(ECM)
    other.hears(ECM)


def test_a_packet_whose_beginning_was_shown(site: Site) -> None:
    """A packet whose pieces are far apart goes to all, complete, though its beginning was taken for an answer."""
    gateway = site.gateway(lambda _data: ECM[:2])
    site.proxy(tcp_client=client(gateway))
    asking, other = site.reader(), site.reader()
    asking.send(b"?")
    asking.hears(ECM[:2])
    gateway.say(ECM[2:])
    other.hears(ECM)
    asking.hears(ECM[:2] + ECM)


def test_a_device_command_and_a_reader_s(site: Site) -> None:
    """While the core talks to the meter, readers wait, and get nothing of the answer."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    one = site.reader()
    gateway.say(PACKETS[0])
    one.hears(PACKETS[0])
    with running.context.commands.conversation() as line:
        line.send(b"^^^RQSSRN")
        one.send(b"^^^RQSVR1")
        gateway.say(b"01000777\r\n" + PACKETS[1])
        wait_for(lambda: b"01000777" in line.receive(1))
        one.hears(PACKETS[0] + PACKETS[1])
        wait_for(lambda: gateway.heard)
        assert gateway.heard == b"^^^RQSSRN"
    wait_for(lambda: gateway.heard == b"^^^RQSSRN^^^RQSVR1")


def test_a_slow_reader_costs_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing loses the oldest packets, which is logged; the others get every one."""
    monkeypatch.setattr(readers, "MAX_BACKLOG_OF_SYSTEM", 4096)
    gateway = site.gateway()
    site.proxy(tcp_client=client(gateway))
    slow, quick = site.reader(listens=False), site.reader()
    numbered = [pack("gem48ptbin", "01000777", {"secs": secs}) for secs in range(4000)]
    for last in range(100, len(numbered) + 1, 100):
        gateway.say(b"".join(numbered[last - 100 : last]))
        quick.hears(b"".join(numbered[:last]))
    slow.listen()
    wait_for(lambda: slow.data.endswith(numbered[-1]), "the last packet")
    got = [bytes(slow.data[at : at + 625]) for at in range(0, len(slow.data), 625)]
    assert got == [packet for packet in numbered if packet in set(got)]
    assert len(got) < len(numbered)
    wait_for(lambda: "has caught up; it has lost" in site.caplog.text)
    assert sum("is too slow" in message for message in site.caplog.messages) == 1


def test_readers_stay_while_the_meter_is_away(site: Site) -> None:
    """When the gateway hangs up, the source fails as without readers; these stay, and read on when it is back."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    one = site.reader()
    gateway.say(PACKETS[0])
    one.hears(PACKETS[0])
    gateway.hang_up()
    again = running.again()
    site.stack.callback(again.end)
    gateway.say(PACKETS[1])
    one.hears(PACKETS[0] + PACKETS[1])
    assert "closed by the other side" in running.failure


def test_readers_are_let_go_when_the_meter_does_not_come_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without the meter their connections are closed, and the port too."""
    monkeypatch.setattr(proxy, "LINGER", 0.05)
    gateway = site.gateway()
    site.proxy(tcp_client=client(gateway))
    gateway.say(PACKETS[0])
    one = site.reader()
    gateway.hang_up()
    wait_for(lambda: one.has_ended)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", site.port), 5)


def test_a_packet_that_was_cut_by_the_line(site: Site, tmp_path: Path) -> None:
    """Half a packet before an adapter was unplugged is not continued by what comes when it is back."""
    wire = Wire(tmp_path / "ttyUSB0")
    site.stack.callback(wire.unplug)
    running = site.proxy(serial=SerialLine(port=wire.path))
    one = site.reader()
    wire.send(PACKETS[0][:300])
    wait_for(lambda: running.data == PACKETS[0][:300])
    wire.unplug()
    running.thread.join(20)
    wire.plug()
    again = running.again()
    site.stack.callback(again.end)
    wire.send(ECM)
    one.hears(ECM)


def test_a_table_that_is_changed_while_the_meter_is_away(site: Site) -> None:
    """The port of the readers is free for the next instance at once, though the readers of the last were kept."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    gateway.say(PACKETS[0])
    one = site.reader()
    gateway.hang_up()
    running.thread.join(20)
    site.proxy(listen=f"127.0.0.1:{site.port}", tcp_client=client(gateway))
    wait_for(lambda: one.has_ended)
    two = site.reader()
    gateway.say(PACKETS[1])
    two.hears(PACKETS[1])


def test_a_reader_that_sends_without_end(site: Site) -> None:
    """It is hung up on, and the log says so: the meter's line is not for it alone."""
    gateway = site.gateway()
    site.proxy(tcp_client=client(gateway))
    greedy, other = site.reader(), site.reader()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            greedy.send(b"^^^RQSSRN" * 100)
    wait_for(lambda: greedy.has_ended)
    assert "sends more than is taken from it" in site.caplog.text
    gateway.say(PACKETS[0])
    other.hears(PACKETS[0])


def test_the_end_closes_all(site: Site) -> None:
    """At the end the readers' connections and the port are closed, with commands still waiting for an answer."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    one = site.reader()
    one.send(b"^^^RQSSRN")
    wait_for(lambda: gateway.heard)
    running.end()
    wait_for(lambda: one.has_ended)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", site.port), 5)


def test_a_reader_that_waits_for_a_meter(site: Site) -> None:
    """A DashBox or Home Assistant waits: it is connected to, again when it hangs up, and its commands are passed on."""
    gateway = site.gateway(lambda _data: b"01000777\r\n")
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        waiting.settimeout(20)
        running = site.proxy(listen="", send_to=[f"127.0.0.1:{waiting.getsockname()[1]}"], tcp_client=client(gateway))
        with waiting.accept()[0] as first:
            wait_for(lambda: " reads, " in site.caplog.text)
            gateway.say(PACKETS[0])
            assert read_exactly(first, 625) == PACKETS[0]
        with waiting.accept()[0] as second:
            second.sendall(b"^^^RQSSRN")
            assert read_exactly(second, 10) == b"01000777\r\n"
            running.end()
            assert second.recv(1) == b""


def test_a_reader_that_is_not_there(site: Site) -> None:
    """An address at which nobody listens is logged once, with what it is for."""
    gateway = site.gateway()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site.proxy(send_to=[f"127.0.0.1:{port}"], tcp_client=client(gateway))
    wait_for(lambda: f"cannot connect to 127.0.0.1:{port}, which is to read: Connection refused" in site.caplog.text)


def test_two_meters_never_mix(site: Site) -> None:
    """Packets of meters that connect to us, in pieces by turns, come out complete; a command goes to each meter."""
    running = site.proxy(tcp_server=TcpServer(host="127.0.0.1", port=0))
    port = int(site.caplog.messages[-1].rpartition(":")[2])
    assert isinstance(running.proxy.tcp_server, TcpServer)
    readers_port = site.caplog.messages[0].rpartition(":")[2]
    one = site.stack.enter_context(socket.create_connection(("127.0.0.1", int(readers_port)), 20))
    wait_for(lambda: " reads, " in site.caplog.text)
    with socket.create_connection(("127.0.0.1", port)) as gem, socket.create_connection(("127.0.0.1", port)) as ecm:
        gem.sendall(PACKETS[0][:300])
        wait_for(lambda: running.data == PACKETS[0][:300])
        ecm.sendall(ECM)
        assert read_exactly(one, len(ECM)) == ECM
        gem.sendall(PACKETS[0][300:])
        assert read_exactly(one, 625) == PACKETS[0]
        one.sendall(b"^^^APISPK")
        for meter in (gem, ecm):
            meter.settimeout(20)
            assert read_exactly(meter, 9) == b"^^^APISPK"


def test_no_more_readers_than_allowed(site: Site) -> None:
    """Above `max_readers`, and from elsewhere than `allow`, a reader is refused; that is logged once."""
    site.proxy(tcp_client=client(site.gateway()), max_readers=1)
    site.reader()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", site.port), 20) as refused:
            assert refused.recv(1) == b""
    assert sum("max_readers = 1 are connected" in message for message in site.caplog.messages) == 1


def test_readers_from_elsewhere(site: Site) -> None:
    """A reader whose address is in none of the networks of `allow` is hung up on."""
    site.proxy(tcp_client=client(site.gateway()), allow=["192.168.1.0/24"])
    with socket.create_connection(("127.0.0.1", site.port), 20) as refused:
        assert refused.recv(1) == b""
    assert "its address is in none of the networks of `allow`" in site.caplog.text


def test_commands_that_are_not_wanted(site: Site) -> None:
    """With `commands = false` nothing of a reader reaches the meter, and the log says so."""
    gateway = site.gateway()
    site.proxy(tcp_client=client(gateway), commands=False)
    one = site.reader()
    one.send(b"^^^SYSOFF")
    wait_for(lambda: "which commands = false keeps from the meters" in site.caplog.text)
    gateway.say(PACKETS[0])
    one.hears(PACKETS[0])
    assert gateway.heard == b""


def test_a_command_without_a_meter(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that cannot be sent costs nothing but itself: the log says why, and the next one is sent."""
    gateway = site.gateway()
    running = site.proxy(tcp_client=client(gateway))
    one = site.reader()

    def fail(_data: bytes, _streams: object = ()) -> None:
        raise CommandFailed("no meter is connected")

    with monkeypatch.context() as patch:
        patch.setattr(running.context.commands, "send", fail)
        one.send(b"^^^RQSSRN")
        wait_for(lambda: "was not sent, or has no answer: no meter is connected" in site.caplog.text)
    one.send(b"^^^RQSVR1")
    wait_for(lambda: gateway.heard == b"^^^RQSVR1")


def test_a_port_that_is_taken(site: Site) -> None:
    """Where another program has the readers' port, the source is tried again, and the log says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Retry, match="another program uses this port"):
        site.proxy(listen=f"127.0.0.1:{taken.getsockname()[1]}", tcp_client=TcpClient(host="127.0.0.1"))


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({"listen": READERS}, [""]),
        ({"tcp_client": TcpClient(host="10.0.0.1")}, ["listen"]),
        (
            {"listen": "0.0.0.0:8084", "tcp_client": TcpClient(host="10.0.0.1"), "serial": SerialLine(port="/dev/a")},
            ["tcp_client"],
        ),
        ({"listen": READERS, "tcp_client": TcpClient(host="10.0.0.1", devices=["fc"])}, ["tcp_client"]),
        ({"listen": READERS, "serial": SERIAL}, []),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], keys: list[str]) -> None:
    """That nobody can read, no meter or two, and what is wrong with how it is connected: each is a mistake."""
    assert [problem.key for problem in Proxy(**settings).check()] == keys  # type: ignore[arg-type]


def test_what_it_claims() -> None:
    """It claims the readers' port, the connections to them, and the meter's line: no other table can have these."""
    settings = {"listen": READERS, "send_to": ["10.0.0.2:8000"], "tcp_client": TcpClient(host="10.0.0.1")}
    made = Proxy(**settings)  # type: ignore[arg-type]
    assert [(claim.what, claim.key) for claim in made.claims()] == [
        ("tcp port 8084", "listen"),
        ("tcp connection to 10.0.0.2:8000", "send_to"),
        ("tcp connection to 10.0.0.1:5000", "tcp_client"),
    ]
    assert made.patience == TcpClient(host="10.0.0.1").patience
