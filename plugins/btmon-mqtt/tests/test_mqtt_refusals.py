# SPDX-License-Identifier: GPL-3.0-or-later
"""What each reason code of a broker means: later, never, or not until a person acts."""

import ssl

import pytest

from btcore import BtcoreError, Reject, Retry, Stop
from btmon_mqtt.login import Login
from btmon_mqtt.refusals import alert_error, connection_error, lost_error, message_error, tls_error

LOGIN = Login(host="broker.local", port=1883, user="energy")


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        (134, Stop, "refuses the user energy (no): correct `user` and `password`"),
        (135, Stop, "refuses the user energy (no): correct `user` and `password`"),
        (133, Stop, "correct `client_id`"),
        (156, Stop, "correct `host`"),
        (136, Retry, "refuses the connection (no)"),
        (137, Retry, "refuses the connection (no)"),
        (159, Retry, "refuses the connection (no)"),
    ],
)
def test_a_connection_that_is_refused(code: int, error: type[BtcoreError], text: str) -> None:
    """A wrong login waits for a person, a broker that is busy is tried again."""
    found = connection_error(LOGIN, code, "no")
    assert (type(found), text in str(found)) == (error, True)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *((code, Stop) for code in (135, 144, 149, 154, 155)),
        *((code, Reject) for code in (128, 131, 153)),
        *((code, Retry) for code in (145, 147, 151)),
    ],
)
def test_a_message_that_is_refused_is_named(code: int, error: type[BtcoreError]) -> None:
    """An access list waits for a person, a text that is not wanted is a dead letter, a quota is tried again."""
    found = message_error(LOGIN, "energy/1", code, "no")
    assert (type(found), "refuses a message to energy/1 (no)" in str(found)) == (error, True)


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [(149, Stop, "too large"), (142, Retry, "another client has the same client_id"), (139, Retry, "(bye)")],
)
def test_a_connection_that_ends(code: int, error: type[BtcoreError], text: str) -> None:
    """A broker may end a connection for what was sent, for another client, or because it stops."""
    found = lost_error(LOGIN, code, "bye")
    assert (type(found), text in str(found)) == (error, True)


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Stop, "set `tls_cert` and `tls_key`"),
        ("TLSV1_ALERT_UNKNOWN_CA", Stop, "does not trust the certificate of `tls_cert`"),
        ("WRONG_VERSION_NUMBER", Stop, "correct `port` (often 8883), or set `tls = false`"),
        ("UNEXPECTED_EOF_WHILE_READING", Retry, "ended the TLS handshake"),
    ],
)
def test_tls_that_fails(reason: str, error: type[BtcoreError], text: str) -> None:
    """What a setting can mend names the setting."""
    found = alert_error(LOGIN, reason)
    assert (isinstance(found, error), text in str(found)) == (True, True)


def test_a_certificate_that_has_expired_is_tried_again() -> None:
    """The broker's administrator renews it, so no restart of ours is needed."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    found = tls_error(LOGIN, error)
    assert type(found) is Retry
    assert "(certificate has expired): it has to be renewed, or the clock of this computer is wrong" in str(found)
