# SPDX-License-Identifier: GPL-3.0-or-later
"""What the thread of a connection has seen: whether the broker accepted it, what it acknowledged, why it ended.

What follows from it is decided in `connection.py`, in the sink's own thread.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition

import attrs
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import LogLevel
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode


@attrs.define(eq=False)
class Events:
    """What the thread of a connection has seen, and whoever waits for it."""

    condition: Condition = attrs.field(factory=Condition)
    accepted: ReasonCode | None = None
    largest: int | None = None  # bytes of a packet that the broker takes, where it says so
    ended: bool = False
    end_reason: ReasonCode | None = None
    fault: str = ""
    subscribed: dict[int, Sequence[ReasonCode]] = attrs.field(factory=dict)
    waiting: dict[int, str] = attrs.field(factory=dict)
    early: dict[int, ReasonCode] = attrs.field(factory=dict)
    refused: deque[tuple[str, ReasonCode]] = attrs.field(factory=lambda: deque(maxlen=10))
    acknowledged: int = 0

    def sent(self, mid: int, topic: str) -> None:
        """Note a message that was sent, unless its acknowledgement is here already."""
        with self.condition:
            reason = self.early.pop(mid, None)
            if reason is None:
                self.waiting[mid] = topic
            else:
                self._settle(topic, reason)

    def acknowledge(self, mid: int, reason: ReasonCode) -> None:
        """Note an acknowledgement, which may come before `sent`."""
        with self.condition:
            topic = self.waiting.pop(mid, None)
            if topic is None:
                self.early[mid] = reason
            else:
                self._settle(topic, reason)
            self.condition.notify_all()

    def has_moved(self, acknowledged: int, most: int) -> bool:
        """Whether no more than `most` messages wait, one was refused, or another one was acknowledged meanwhile."""
        return len(self.waiting) <= most or bool(self.refused) or self.acknowledged > acknowledged

    def _settle(self, topic: str, reason: ReasonCode) -> None:
        self.acknowledged += 1
        if reason.is_failure:
            self.refused.append((topic, reason))


Answer = Callable[[Client, str, bytes], Iterable[tuple[int, str]]]
"""Takes the topic and the text of a message that came in; yields the number and the topic of each that it answers."""


def listen(client: Client, events: Events, answer: Answer) -> None:
    """Have the thread of a client note what it sees."""

    def connected(_c: Client, _u: object, _f: ConnectFlags, reason: ReasonCode, more: Properties | None) -> None:
        with events.condition:
            events.accepted, events.largest = reason, getattr(more, "MaximumPacketSize", None)
            events.condition.notify_all()

    def ended(_c: Client, _u: object, _f: DisconnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        with events.condition:
            if not events.ended:  # behind the broker's reason comes one that says only that the connection has ended
                events.ended, events.end_reason = True, reason
            events.condition.notify_all()

    def subscribed(_c: Client, _u: object, mid: int, reasons: Sequence[ReasonCode], _p: Properties | None) -> None:
        with events.condition:
            events.subscribed[mid] = reasons
            events.condition.notify_all()

    def received(of: Client, _u: object, message: MQTTMessage) -> None:  # held by the client: it must not hold it, too
        for mid, topic in answer(of, message.topic, bytes(message.payload)):
            events.sent(mid, topic)

    def logged(_c: Client, _u: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR and not events.fault:  # those that follow say only that it has ended
            events.fault = text

    client.on_connect, client.on_disconnect, client.on_subscribe = connected, ended, subscribed
    client.on_publish = lambda _c, _u, mid, reason, _p: events.acknowledge(mid, reason)
    client.on_message, client.on_log = received, logged
