# SPDX-License-Identifier: GPL-3.0-or-later
"""The mistakes between settings, found before anything is opened."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from btcore import Problem, file_problems, host_problems
from btmon_mqtt.topics import join, placeholders, template_problem, topic_problem

if TYPE_CHECKING:
    from btmon_mqtt.sink import Mqtt

TEMPLATES = {
    "topic": ("serial", "label", "channel", "kind", "name"),
    "json_topic": ("serial",),
    "device_name": ("model", "serial"),
    "entity_name": ("name", "quantity", "channel", "serial"),
}
"""The settings that are templates, and what each may contain."""


def problems(sink: "Mqtt") -> Iterator[Problem]:
    """Yield what is wrong with the settings of a sink."""
    yield from _login_problems(sink)
    yield from _topic_problems(sink)
    yield from _template_problems(sink)
    if not (sink.sends_values or sink.json or sink.homeassistant):
        yield Problem("nothing would be published: set values, json or homeassistant to true", key="values")
    if not sink.sends_values and sink.timestamps:
        yield Problem("it is used with values = true alone; JSON has the time anyway", key="timestamps")


def _login_problems(sink: "Mqtt") -> Iterator[Problem]:
    yield from host_problems(sink, "host")
    if sink.password and not sink.user:
        yield Problem("needed with password", key="user")
    for key in ("tls_ca", "tls_cert", "tls_key"):
        if getattr(sink, key) and not sink.tls:
            yield Problem("it is used with tls = true alone", key=key)
        else:
            yield from file_problems(sink, key)
    if sink.tls_key and not sink.tls_cert:
        yield Problem("needed with tls_key", key="tls_cert")


def _topic_problems(sink: "Mqtt") -> Iterator[Problem]:
    topics = {"base_topic": sink.base_topic}
    topics |= {"status_topic": sink.status_topic} if sink.status_topic else {}
    topics |= {"discovery_prefix": sink.discovery_prefix} if sink.homeassistant else {}
    for key, topic in topics.items():
        if wrong := topic_problem(topic):
            yield Problem(wrong, key=key)
    for channel, name in sink.map.items():
        if wrong := topic_problem(join(sink.base_topic, name)) if name else "expected a name":
            yield Problem(f"{channel}: {wrong}", key="map")


def _template_problems(sink: "Mqtt") -> Iterator[Problem]:
    for key, allowed in TEMPLATES.items():
        text = getattr(sink, key)
        if wrong := template_problem(text, allowed) or (topic_problem(text) if "topic" in key else ""):
            yield Problem(wrong, key=key)
        elif key == "topic" and not _is_distinct(placeholders(text)):
            yield Problem("several numbers would have one topic: it needs {label}, or {channel} and {kind}", key=key)
        elif "topic" in key and not placeholders(text) & {"serial", "name"}:
            yield Problem("the topics of two meters would be the same without {serial}", key=key, warning=True)


def _is_distinct(names: set[str]) -> bool:
    """Whether each number of a meter has a topic of its own."""
    return "label" in names or ("kind" in names and bool(names & {"channel", "name"}))
