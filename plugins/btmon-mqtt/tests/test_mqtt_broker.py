# SPDX-License-Identifier: GPL-3.0-or-later
"""With a real broker that refuses, hangs, dies and comes back: what is reported, and that nothing is lost."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from helpers.golden_streams import recorded_readings
from helpers.needed import needs
from helpers.samplers import samples_between
from servers.mosquitto import MISSING, Certificates, Listener, Mosquitto, OldBroker
from servers.raw_server import RawServer, silent

from btcore import Batch, DiagnosisContext, Duration, Retry, Secret, Stop
from btcore.testing import free_port, wait_for
from btmon_mqtt.connection import Connection
from btmon_mqtt.login import Login
from btmon_mqtt.messages import Message
from btmon_mqtt.sink import Mqtt

pytestmark = [pytest.mark.servers, needs(MISSING)]

Opened = Callable[..., Mqtt]

PASSWORD = "s3cret-of-the-broker"
SOON = Duration(1)
DIAGNOSIS = DiagnosisContext(name="sink.mqtt")


def readings() -> Batch:
    """Return some readings of an ECM-1240, with their samples."""
    found = recorded_readings("ecm1240bin_steady")
    return Batch(tuple(found), tuple(samples_between(found)))


def connection_to(broker: Mosquitto, **settings: Any) -> Connection:  # noqa: ANN401 - any setting
    """Make a connection that is not open yet."""
    return Connection(Login(host="127.0.0.1", port=broker.port, **{"timeout": 5.0, **settings}))


def numbered(count: int) -> list[Message]:
    """Return messages that the broker keeps, each on a topic of its own."""
    return [Message(f"many/{number}", str(number), retain=True) for number in range(count)]


def test_a_user_with_a_password_publishes(tmp_path: Path, opened: Opened) -> None:
    """The user and the password are those of the settings."""
    with Mosquitto(tmp_path, users={"energy": PASSWORD}) as broker:
        sink = opened(broker.port, user="energy", password=Secret(PASSWORD))
        assert sink.process_batch(readings()) == 7
        assert list(sink.diagnose(DIAGNOSIS)) == []


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_a_wrong_password_stops_the_sink(protocol: str, tmp_path: Path) -> None:
    """Whatever the version of MQTT, a person is told which settings to correct, and never sees the password."""
    with Mosquitto(tmp_path, users={"energy": PASSWORD}) as broker:
        settings = {"host": "127.0.0.1", "port": broker.port, "user": "energy", "password": Secret("wr0ng-one")}
        sink = Mqtt(**settings, protocol=protocol)  # type: ignore[arg-type]
        (found,) = sink.diagnose(DIAGNOSIS)
        with pytest.raises(Stop, match=r"refuses the user energy .*: correct `user` and `password`") as error:
            connection_to(broker, user="energy", password=Secret("wr0ng-one"), protocol=protocol).open()
    assert (found.code, found.advice) == ("credentials", "Correct `user`, `password` and `client_id`")
    assert "wr0ng-one" not in f"{error.value} {found} {sink}"


def test_a_topic_that_the_access_list_denies_stops_the_sink(tmp_path: Path, opened: Opened) -> None:
    """MQTT 5 says so of a message: the topic is named, and whom the list has to allow; by the second attempt at last.

    Mosquitto 2.0.11 ends the connection, too, and what it has said may be lost with it.
    """
    acl = ["user energy", "topic readwrite /house/energy/status"]
    with Mosquitto(tmp_path, users={"energy": PASSWORD}, acl=acl) as broker:
        sink = opened(broker.port, user="energy", password=Secret(PASSWORD))
        with suppress(Retry):
            refuse(sink)
            return
        refuse(sink)


def refuse(sink: Mqtt) -> None:
    """Have some readings refused."""
    with pytest.raises(Stop, match=r"/house/energy/312345_volts .*its access list has to allow the user energy"):
        sink.process_batch(readings())


def test_after_a_lost_connection_what_the_broker_refuses_is_told(tmp_path: Path) -> None:
    """The first messages go one by one then: none behind it makes the system drop the broker's no."""
    acl = ["user energy", "topic readwrite many/#"]
    with Mosquitto(tmp_path, users={"energy": PASSWORD}, acl=acl) as broker:
        connection = connection_to(broker, user="energy", password=Secret(PASSWORD))

        def cut() -> Iterator[Message]:
            yield from numbered(1)
            connection.abandon()
            yield from numbered(1)

        connection.open()
        with pytest.raises(Retry, match="ended the connection"):
            connection.publish(cut())
        connection.open()
        messages = [*numbered(50), *(Message("denied", str(number)) for number in range(50))]
        with pytest.raises(Stop, match="a message to denied "):
            connection.publish(messages)


def test_a_message_that_is_too_large_waits_for_a_person(tmp_path: Path, opened: Opened) -> None:
    """How large a message is depends on the settings: no reading is to blame."""
    with Mosquitto(tmp_path, more=["max_packet_size 300"]) as broker:
        sink = opened(broker.port, json=True)
        with pytest.raises(Stop, match=r"takes 300 bytes .* too large: have the broker's limit raised, or choose"):
            sink.process_batch(readings())


def test_a_message_of_the_largest_size_is_taken(tmp_path: Path) -> None:
    """What the broker says that it takes it takes, to the byte: nothing is refused that it would have had."""
    with Mosquitto(tmp_path, more=["max_packet_size 300"]) as broker:
        connection = connection_to(broker)
        connection.open()
        connection.publish([Message("size", "x" * 288)])
        with pytest.raises(Stop, match="takes 300 bytes at most, and a message to size has 301"):
            connection.publish([Message("size", "x" * 289)])
        connection.close()


def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """Nobody listens on the port: later; doctor says the same."""
    login = Login(host="127.0.0.1", port=free_port())
    with pytest.raises(Retry, match="cannot be reached: Connection refused"):
        Connection(login).open()
    (found,) = Mqtt(host="127.0.0.1", port=login.port).diagnose(DIAGNOSIS)
    assert found.code == "unreachable"


def test_a_broker_that_says_nothing_is_waited_for() -> None:
    """A port that takes connections and never answers costs a bounded time."""
    with RawServer(silent) as server, pytest.raises(Retry, match="takes the connection and does not answer"):
        Connection(Login(host="127.0.0.1", port=server.port, timeout=0.2)).open()


def test_what_is_no_broker_is_told() -> None:
    """A port that ends each connection is not taken for one that is down."""
    with RawServer(lambda _connection, _closing: None) as server, pytest.raises(Retry, match="without an answer"):
        Connection(Login(host="127.0.0.1", port=server.port, timeout=5)).open()


@pytest.mark.parametrize("seed", range(20))
def test_a_broker_that_sends_nonsense_is_given_up(seed: int) -> None:
    """Whatever comes in place of an acknowledgement, the message is not delivered, and no thread is left."""
    random = Random(seed)

    def talk(connection: socket.socket, _closing: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x03\x00\x00\x00")  # it accepts the connection
        connection.recv(4096)
        size = random.randrange(40)
        connection.sendall(
            bytes([random.choice((0x30, 0x36, 0x40, 0x50, 0x90, 0xD0, 0xE0)), size]) + random.randbytes(140)
        )

    threads = threading.active_count()
    with RawServer(talk) as server:
        connection = Connection(Login(host="127.0.0.1", port=server.port, timeout=5))
        connection.open()
        with pytest.raises(Retry):
            connection.publish(numbered(3))
    assert (connection.is_open, threading.active_count()) == (False, threads)


@pytest.mark.parametrize("rudely", [False, True], ids=["says so", "hangs up"])
def test_a_broker_that_knows_3_1_1_alone_is_spoken_to_in_it(
    rudely: bool, broker: Mosquitto, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """MQTT 5 is tried first; a broker that has said that it does not know it is not asked again; the log says so."""
    old = OldBroker(broker, rudely=rudely)
    with RawServer(old) as front, Listener(broker, "/house/energy/312345_volts") as listener:
        sink = opened(front.port)
        sink._connection.abandon()
        assert sink.process_batch(readings()) == 7
        listener.settle()
        assert len(listener.messages) == 7
        sink.close()
    assert old.versions == ([5, 4, 5, 4] if rudely else [5, 4, 4])
    (text,) = caplog.messages
    assert text.endswith("knows MQTT 3.1.1 only: what its access list denies is lost without a word")


def test_a_version_that_is_set_is_the_only_one_tried(broker: Mosquitto) -> None:
    """With `protocol = "5"` an older broker is told of, not spoken to in 3.1.1."""
    old = OldBroker(broker)
    with RawServer(old) as front, pytest.raises(Retry, match="Unsupported protocol version"):
        Connection(Login(host="127.0.0.1", port=front.port, protocol="5")).open()
    assert old.versions == [5]


@pytest.fixture
def encrypted(tmp_path: Path, certificates: Certificates) -> Iterator[Mosquitto]:
    """Run a broker with TLS that asks for a certificate."""
    with Mosquitto(tmp_path, tls=certificates, asks=True) as server:
        yield server


def test_tls_with_an_authority_and_a_certificate_of_ones_own(
    encrypted: Mosquitto, certificates: Certificates, opened: Opened
) -> None:
    """The broker's certificate is checked against `tls_ca`, and ours is shown to it."""
    certificate, key = certificates.client
    sink = opened(encrypted.port, tls=True, tls_ca=certificates.ca, tls_cert=certificate, tls_key=key)
    assert sink.process_batch(readings()) == 7


def test_tls_that_does_not_fit_names_the_setting(encrypted: Mosquitto, certificates: Certificates) -> None:
    """Each way in which TLS fails is one line that says what to correct."""
    certificate, key = certificates.client
    own: dict[str, Any] = {"tls_cert": certificate, "tls_key": key}
    trusting = own | {"tls": True, "tls_ca": certificates.ca}
    cases = {
        "is not trusted .*: set `tls_ca`": own | {"tls": True},
        "is not trusted .* set `tls_ca` to the file": own | {"tls": True, "tls_ca": certificates.other_ca},
        "tls_ca: .* is no file of certificates": trusting | {"tls_ca": key},
        "tls_cert: .* are no certificate and its key": trusting | {"tls_key": certificates.server[1]},
    }
    for expected, settings in cases.items():
        with pytest.raises(Stop, match=expected):
            connection_to(encrypted, **settings).open()
    # by TLS 1.3 the broker's alert may be overtaken by the end of the connection
    with pytest.raises((Stop, Retry), match=r"asks? for a certificate .*`tls_cert`"):
        connection_to(encrypted, tls=True, tls_ca=certificates.ca).open()
    (finding,) = Mqtt(host="127.0.0.1", port=encrypted.port, tls=True, tls_ca=certificates.other_ca).diagnose(DIAGNOSIS)
    assert (finding.code, "set `tls_ca`" in finding.text, "`tls_ca`" in finding.advice) == ("certificate", True, True)
    with pytest.raises(Stop, match="set `host` to a name that is in the certificate"):
        Connection(Login(host="localhost", port=encrypted.port, **trusting)).open()
    with pytest.raises(Retry, match=r"without an answer: .*, with TLS as `tls` says\?"):
        connection_to(encrypted).open()


def test_tls_to_a_port_without_it_names_the_setting(broker: Mosquitto) -> None:
    """A broker that does not speak TLS is not asked again and again."""
    with pytest.raises((Stop, Retry), match=r"does not speak TLS|does this port speak TLS\?"):
        connection_to(broker, tls=True).open()


def test_a_broker_killed_in_the_middle_has_every_message_in_the_end(broker: Mosquitto) -> None:
    """What is not acknowledged is told; delivered again, all of it is there."""
    connection, messages = connection_to(broker), numbered(2000)

    def killing() -> Iterator[Message]:
        for number, message in enumerate(messages):
            if number == 1000:
                broker.kill()
            yield message

    connection.open()
    with pytest.raises(Retry):
        connection.publish(killing())
    assert not connection.is_open
    broker.start()
    connection.open()
    connection.publish(messages)
    connection.close()
    assert broker.retained() == {message.topic: message.payload for message in messages}


def test_a_broker_that_restarts_is_connected_to_again(broker: Mosquitto, opened: Opened) -> None:
    """The next batch after a restart is delivered by a new connection, which says again that we are there."""
    sink = opened(broker.port, retain=True)
    sink.process_batch(readings())
    broker.stop()
    with pytest.raises(Retry):
        sink.process_batch(readings())
    broker.start()
    assert sink.process_batch(readings()) == 7
    assert broker.retained()["/house/energy/status"] == "online"


def test_a_broker_that_hangs_costs_a_bounded_time(broker: Mosquitto, opened: Opened) -> None:
    """A broker that takes messages and acknowledges none is given up after `timeout`; later, all are delivered."""
    sink = opened(broker.port, timeout=SOON)
    broker.freeze()
    with pytest.raises(Retry, match=r"does not answer: waited 1 s for an acknowledgement|cannot|does not answer"):
        sink.process_batch(readings())
    broker.freeze(frozen=False)
    with Listener(broker, "/house/energy/312345_volts") as listener:
        assert sink.process_batch(readings()) == 7
        listener.settle()
    expected = [str(round(one.get("volts") or 0, 1)) for one in readings().readings[1:]]
    assert [payload for _, payload in listener.messages][-7:] == expected


def test_who_is_gone_is_offline(broker: Mosquitto, opened: Opened) -> None:
    """The status is kept by the broker: online, and offline after an end of either kind."""
    status = "/house/energy/status"
    sink = opened(broker.port)
    assert broker.retained() == {status: "online"}
    sink.close()
    assert broker.retained() == {status: "offline"}
    sink = opened(broker.port)
    sink._connection.abandon()
    wait_for(lambda: broker.retained() == {status: "offline"}, "the last will")


def test_with_qos_0_and_2_all_messages_come(broker: Mosquitto, opened: Opened) -> None:
    """Each quality of service delivers a batch, and its end is waited for."""
    with Listener(broker) as listener:
        for qos in (0, 2):
            assert opened(broker.port, qos=qos).process_batch(readings()) == 7
        wait_for(lambda: len(listener.payloads("/house/energy/312345_volts")) == 14, "all messages")


def test_no_text_has_a_secret(tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """The password is in no log, no error, no preview and no repr."""
    caplog.set_level(logging.DEBUG)
    with Mosquitto(tmp_path, users={"energy": PASSWORD}) as broker:
        sink = opened(broker.port, user="energy", password=Secret(PASSWORD), homeassistant=True, json=True)
        sink.process_batch(readings())
        texts = [repr(sink), repr(sink._login()), *sink.preview_batch(readings()), *map(str, sink.claims())]
        broker.kill()
        with pytest.raises(Retry) as error:
            sink.process_batch(readings())
    assert PASSWORD not in " ".join([*texts, *caplog.messages, str(error.value)])
