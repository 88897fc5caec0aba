# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's no means: whether to try again, or that a person has to act."""

import ssl
from collections import deque

import attrs
from nats.errors import AuthorizationError, MaxPayloadError, NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from btcore import Reject, Retry, Stop

TOO_LARGE = 10054
"""The stream takes no message of this size."""
WRONG_STREAM = 10060
"""Another stream took the subject than the one that was meant."""

MAX_DENIALS = 8


@attrs.define
class Denials:
    """What a server denied, which it says apart from the answer that never comes; what the client met."""

    cause: Exception | None = None
    """What the client met last: where it gives up, it says only that it does."""
    _last: deque[str] = attrs.field(factory=lambda: deque(maxlen=MAX_DENIALS))

    async def note(self, error: Exception) -> None:
        """Keep what was denied, and what was met last."""
        self.cause = error
        text = str(error)
        if "permissions violation" in text.lower():
            self._last.append(text.partition("nats: ")[2] or text)

    def take(self) -> str:
        """Return what was denied since this was called last; "" if nothing was."""
        text = self._last[-1] if self._last else ""
        self._last.clear()
        return text


def is_wrong_account(error: Exception) -> bool:
    """Whether a server knows us not; with nkeys the client has no exception of its own for it."""
    return isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower()


def is_unanswered(error: Exception) -> bool:
    """Whether nobody listens where something was asked."""
    return isinstance(error, NoRespondersError) and not isinstance(error, NoStreamResponseError)


def wrong_account(server: str) -> Stop:
    """Return the error of a server that knows us not."""
    return Stop(f"{server} does not take our account: check `user`, `password`, `token`, `credentials` or `nkey`")


def cannot_connect(error: BaseException) -> str:
    """Describe why there is no connection."""
    if isinstance(error, ssl.SSLError):
        return f"TLS does not fit: {error.reason or 'it broke off'}"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).removeprefix("nats: ")[:200] or type(error).__name__


def meaning(error: BaseException, stream: str, address: str, denied: str) -> Retry | Reject | Stop:
    """Return what to do after an error of JetStream; `denied` is what the server said of a right that we lack."""
    if denied and not isinstance(error, Reject | Stop):  # what is denied has no answer, so the error is a time-out
        return Stop(f"{address} denies it: {denied}; docs/fleet.md has the rights that are needed")
    if isinstance(error, Retry | Reject | Stop):
        return error
    code = error.err_code if isinstance(error, APIError) else None
    if code == TOO_LARGE or isinstance(error, MaxPayloadError):
        return Reject(f"a message is larger than {address} takes")
    if code == WRONG_STREAM:
        return Stop(f"{address}: another stream takes the subjects of {stream}: check `stream`")
    return Retry(f"{address}{_why(error, stream)}")


def _why(error: BaseException, stream: str) -> str:
    """Describe what waiting may cure: somebody makes the stream, a cluster has a leader again."""
    if isinstance(error, NoStreamResponseError | NoRespondersError | NotFoundError):
        return f" has no stream {stream}, or no JetStream: `btcore nats setup` makes one"
    if isinstance(error, NatsTimeout | TimeoutError):
        return " did not answer in time; a cluster that lost a server takes some seconds"
    if isinstance(error, APIError):
        return f": {error.description or error.err_code}"
    return f": {cannot_connect(error)}"
