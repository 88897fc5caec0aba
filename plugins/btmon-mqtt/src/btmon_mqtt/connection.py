# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the broker: opened when it is needed, kept, and given up at the first fault; acknowledged delivery.

A connection that has ended is not opened again by itself: the core waits, and calls again. What is published belongs to
other rooms, what a broker's no means to `refusals.py`.
"""

import re
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from btcore import Reject, Retry, Stop
from btmon_mqtt.events import Events, listen
from btmon_mqtt.login import Login
from btmon_mqtt.messages import Message, packet_size
from btmon_mqtt.refusals import (
    UNSUPPORTED_VERSION,
    alert_error,
    connection_error,
    lost_error,
    message_error,
    size_error,
    tls_error,
)

WINDOW = 500
"""Messages that may wait for an acknowledgement."""

ALONE = 100
"""Messages that are sent one by one after a connection that was lost: as many as a large meter has topics.

A broker that ends the connection because of a message says which first; but where more messages had come behind it, the
system drops what it said (TCP resets the connection), and nobody learns why.
"""

FAREWELL = 3.0
"""Seconds that the last message may take."""

PROTOCOLS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}
"""The versions of MQTT to try, in this order."""

Receive = Callable[[str, bytes], Iterable[Message]]
"""Takes a message that came in, in a thread of its own; returns what to answer with."""


class NoAnswer(Exception):
    """The broker ended the connection, or refused the version of MQTT, before it accepted it; caught in this room."""

    def __init__(self, reason: str, *, is_version: bool = False) -> None:
        """Keep OpenSSL's reason, if there was one, and whether the version is what was refused."""
        super().__init__(reason)
        self.reason = reason
        self.is_version = is_version


class Connection:
    """A connection to a broker, with a last will, and what it is subscribed to."""

    def __init__(self, login: Login, will: Message | None = None, qos: int = 1) -> None:
        """Prepare; `will` is what the broker publishes when we are gone."""
        self.login = login
        self.will = will
        self.qos = qos
        self._protocols = PROTOCOLS[login.protocol]
        self._client: Client | None = None
        self._events = Events()
        self._alone = 0  # messages to send one by one
        self._receive: Receive = lambda _topic, _payload: ()

    @property
    def is_open(self) -> bool:
        """Whether the broker has accepted it, and it has not ended."""
        return self._client is not None and not self._events.ended

    @property
    def is_silent(self) -> bool:
        """Whether the broker drops what its access list denies without a word, as by MQTT 3.1.1."""
        return self._client is not None and self._client.protocol == MQTTProtocolVersion.MQTTv311

    def open(self) -> None:
        """Connect. Raises Retry or Stop."""
        self.abandon()
        for protocol in self._protocols:
            try:
                self._connect(protocol)
            except NoAnswer as error:
                self.abandon()
                if error.reason:
                    raise alert_error(self.login, error.reason) from None
                if error.is_version and self._protocols[1:]:
                    self._protocols = self._protocols[1:]
            except BaseException:
                self.abandon()
                raise
            else:
                return
        hint = "has it a listener for MQTT on this port, with TLS as `tls` says?"
        if self.login.tls and not self.login.tls_cert:
            hint = "does it ask for a certificate of ours (`tls_cert`)?"
        raise Retry(f"{self.login.address} ends each connection without an answer: {hint}")

    def learn(self, topics: Sequence[str], receive: Receive) -> list[str]:
        """Take in what the broker has retained for some topics; return those that it denies. Raises Retry."""
        denied = self.subscribe(topics, receive)
        # the answer to one more subscription comes behind what was retained for the others
        self.subscribe(topics[:1], receive)
        self._open_client().unsubscribe(list(topics))
        return denied

    def subscribe(self, topics: Sequence[str], receive: Receive) -> list[str]:
        """Have `receive` called with what comes in for some topics; return those that are denied. Raises Retry."""
        self._receive = receive
        denied = []
        events = self._events
        for topic in topics:
            _, mid = self._open_client().subscribe(topic)
            if mid is None:
                raise self._lost()
            self._wait(partial(events.subscribed.__contains__, mid), "the answer to a subscription")
            if any(reason.is_failure for reason in events.subscribed.pop(mid)):
                denied.append(topic)
        return denied

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish messages; return when the broker has all of them. Raises Retry, Reject or Stop."""
        client = self._open_client()
        try:
            for message in messages:
                self._wait_for_acknowledgements(0 if self._alone else WINDOW)
                self._alone = max(0, self._alone - 1)
                self._raise_if_too_large(message)
                self._send(client, message)
            self._wait_for_acknowledgements(0)
        except Exception:
            del client  # else the error holds it, and what it has open
            self.abandon()  # what was not acknowledged is sent again, by another connection
            self._raise_for_refusal()  # a broker may end the connection because of what it has refused
            self._alone = ALONE
            raise

    def close(self, farewell: Message | None = None) -> None:
        """Say farewell and disconnect, in a few seconds at most."""
        if self.is_open:
            with suppress(Retry, Reject, Stop):
                if farewell:
                    self._send(self._open_client(), farewell)
                    self._wait(lambda: not self._events.waiting, "the last acknowledgement", FAREWELL)
            if self._client is not None:
                self._client.disconnect()
                with self._events.condition:
                    self._events.condition.wait_for(lambda: self._events.ended, FAREWELL)
        self.abandon()

    def abandon(self) -> None:
        """Cut the connection, if there is one: the broker publishes our last will."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(OSError):  # paho may close it meanwhile
            if (connected := client.socket()) is not None:
                # that of a TLS socket would first end the encryption, while the other thread may write
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # type: ignore[arg-type]
        client.loop_stop()

    def _open_client(self) -> Client:
        if self._client is None or self._events.ended:
            raise self._lost()
        return self._client

    def _connect(self, protocol: MQTTProtocolVersion) -> None:
        events = self._events = Events()
        client = self._make_client(protocol, events)
        try:
            client.connect(self.login.host, self.login.port, keepalive=self.login.keepalive)
        except ssl.SSLError as error:
            raise tls_error(self.login, error) from None
        except ConnectionResetError as error:
            hint = ": does this port speak TLS?" if self.login.tls else ""
            raise Retry(f"{self.login.address} ended the connection at once ({_words(error)}){hint}") from None
        except OSError as error:
            raise Retry(f"{self.login.address} cannot be reached: {_words(error)}") from None
        except UnicodeError:
            raise Stop(f"{self.login.address} is no address: correct `host`") from None
        self._client = client
        client.loop_start()
        with events.condition:
            is_over = events.condition.wait_for(lambda: events.accepted or events.ended, self.login.timeout)
        if events.accepted is None:
            if not is_over:
                raise Retry(f"{self.login.address} takes the connection and does not answer")
            raise NoAnswer(_ssl_reason(events.fault))
        if events.accepted.value == UNSUPPORTED_VERSION and self.login.protocol == "auto":
            raise NoAnswer("", is_version=True)
        if events.accepted.is_failure:
            raise connection_error(self.login, events.accepted.value, str(events.accepted))

    def _make_client(self, protocol: MQTTProtocolVersion, events: Events) -> Client:
        login = self.login
        client_id = login.client_id or f"btcore-{secrets.token_hex(6)}"
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False)
        client.connect_timeout = login.timeout
        if login.user:
            client.username_pw_set(login.user, login.password.reveal() or None)
        if login.tls:
            client.tls_set_context(login.tls_context())
        if self.will:
            client.will_set(self.will.topic, self.will.payload, self.qos, self.will.retain)
        listen(client, events, self._answer)
        return client

    def _answer(self, client: Client, topic: str, payload: bytes) -> Iterable[tuple[int, str]]:
        """Answer a message that came in, in the thread of the connection; yield what is to be acknowledged."""
        for answer in self._receive(topic, payload):
            yield client.publish(answer.topic, answer.payload, self.qos, answer.retain).mid, answer.topic

    def _send(self, client: Client, message: Message) -> None:
        try:
            info = client.publish(message.topic, message.payload, self.qos, message.retain)
        except ValueError as error:
            raise Reject(f"a message to {message.topic} cannot be sent: {error}") from None
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._events.sent(info.mid, message.topic)
        else:
            raise self._lost()

    def _raise_if_too_large(self, message: Message) -> None:
        largest = self._events.largest
        if largest and (size := packet_size(message)) > largest:
            raise size_error(self.login, message.topic, size, largest)

    def _wait_for_acknowledgements(self, most: int) -> None:
        """Wait until no more than so many messages are not acknowledged, as long as there is any progress."""
        events = self._events
        while len(events.waiting) > most and not events.refused:
            self._wait(partial(events.has_moved, events.acknowledged, most), "an acknowledgement")
        self._raise_for_refusal()

    def _raise_for_refusal(self) -> None:
        if self._events.refused:
            topic, reason = self._events.refused.popleft()
            raise message_error(self.login, topic, reason.value, str(reason))

    def _wait(self, condition: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Wait for something. Raises Retry or Stop if the connection ends, or takes too long."""
        events = self._events
        with events.condition:
            is_over = events.condition.wait_for(
                lambda: condition() or events.ended, self.login.timeout if seconds is None else seconds
            )
            if condition():
                return
        if events.ended:
            raise self._lost()
        if not is_over:
            raise Retry(f"{self.login.address} does not answer: waited {self.login.timeout:g} s for {what}")

    def _lost(self) -> Retry | Stop:
        reason = self._events.end_reason
        if reason is None or reason.value == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return lost_error(self.login, 0, "")
        return lost_error(self.login, reason.value, str(reason))


def _ssl_reason(fault: str) -> str:
    """Return OpenSSL's reason in a line of paho's log."""
    found = re.search(r"\[SSL: (\w+)\]", fault)
    return found[1] if found else ""


def _words(error: OSError) -> str:
    return error.strerror or ("it does not answer" if isinstance(error, TimeoutError) else type(error).__name__)
