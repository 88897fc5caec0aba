# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broker's no means: later, never, or not until a person acts. Reason codes are those of MQTT 5.

Of MQTT 3.1.1 a broker has only the codes of a connection, which paho gives by those of MQTT 5. A message that its
access list denies it takes and drops.
"""

import ssl
from collections.abc import Mapping

from btcore import Reject, Retry, Stop
from btmon_mqtt.login import Login, TlsStop

UNSUPPORTED_VERSION = 132
NOT_AUTHORIZED = 135
TOO_LARGE = 149
TAKEN_OVER = 142

BAD_LOGIN = (134, NOT_AUTHORIZED)
"""Bad user name or password; not authorized."""

PERSON: Mapping[int, str] = {
    133: "correct `client_id`",
    138: "the broker has banned it; ask its administrator",
    140: "the broker wants another kind of login; ask its administrator",
    144: "correct `base_topic` and `status_topic`",
    TOO_LARGE: "it is too large: have the broker's limit raised, or choose fewer `channels`",
    154: "the broker keeps no messages: set `retain = false`",
    155: "lower `qos`",
    156: "correct `host`: the broker has moved",
    157: "correct `host`: the broker has moved",
}
"""Codes that refuse every connection or message alike, and what to do."""

NEVER = frozenset({128, 131, 153})
"""Codes that refuse this message whenever it is sent: its text is not wanted."""

NOT_IN_TIME = frozenset({9, 10})
"""OpenSSL's codes for a certificate that is not valid yet, or not any more."""


def connection_error(login: Login, code: int, words: str) -> Retry | Stop:
    """Return the error for a connection that the broker refused."""
    who = f"the user {login.user}" if login.user else "a client without a user"
    if code in BAD_LOGIN:
        return Stop(f"{login.address} refuses {who} ({words}): correct `user` and `password`")
    if code in PERSON:
        return Stop(f"{login.address} refuses the connection ({words}): {PERSON[code]}")
    return Retry(f"{login.address} refuses the connection ({words})")


def message_error(login: Login, topic: str, code: int, words: str) -> Retry | Reject | Stop:
    """Return the error for a message that the broker refused."""
    text = f"{login.address} refuses a message to {topic} ({words})"
    if code == NOT_AUTHORIZED:
        who = f"the user {login.user}" if login.user else "clients without a user"
        return Stop(f"{text}: its access list has to allow {who} to write there")
    if code in PERSON:
        return Stop(f"{text}: {PERSON[code]}")
    return Reject(text) if code in NEVER else Retry(text)


def size_error(login: Login, topic: str, size: int, largest: int) -> Stop:
    """Return the error for a message that is larger than the broker says to take: it would end the connection."""
    text = f"{login.address} takes {largest} bytes at most, and a message to {topic} has {size}"
    return Stop(f"{text}: {PERSON[TOO_LARGE]}")


def lost_error(login: Login, code: int, words: str) -> Retry | Stop:
    """Return the error for a connection that ended while something was sent."""
    if code == TOO_LARGE:  # how large messages are depends on the settings, not on the readings
        return Stop(f"{login.address} ends the connection because of a message: {PERSON[code]}")
    if code == TAKEN_OVER:
        return Retry(f"{login.address} ends the connection: another client has the same client_id")
    return Retry(f"{login.address} ended the connection{f' ({words})' if words else ''}")


def tls_error(login: Login, error: ssl.SSLError) -> Retry | Stop:
    """Return the error for a connection without a TLS that fits."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {login.address} is not trusted ({error.verify_message})"
        if error.verify_code in NOT_IN_TIME:
            return Retry(f"{text}: it has to be renewed, or the clock of this computer is wrong")
        if "mismatch" in error.verify_message:
            return TlsStop(f"{text}: set `host` to a name that is in the certificate")
        return TlsStop(f"{text}: set `tls_ca` to the file with the certificate of the authority that signed it")
    return alert_error(login, error.reason or "")


def alert_error(login: Login, reason: str) -> Retry | Stop:
    """Return the error for OpenSSL's reason why there is no connection; "" where it has none."""
    if any(part in reason for part in ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")):
        return TlsStop(f"{login.address} asks for a certificate of ours: set `tls_cert` and `tls_key`")
    if any(part in reason for part in ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")):
        return TlsStop(f"{login.address} does not trust the certificate of `tls_cert`")
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return TlsStop(f"{login.address} does not speak TLS: correct `port` (often 8883), or set `tls = false`")
    return Retry(f"{login.address} ended the TLS handshake ({reason or 'the connection was closed'})")
