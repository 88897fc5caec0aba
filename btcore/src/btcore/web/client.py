# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of one service: one request at a time, with a deadline, and a complete answer or an error.

What an answer means belongs to `answers.py`.
"""

import logging
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from http.client import HTTPException
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import InvalidJSONError, InvalidProxyURL, InvalidSchema, InvalidURL, MissingSchema, ProxyError
from urllib3.exceptions import HTTPError

from btcore.errors import Reject, Retry, Stop
from btcore.settings import Secret
from btcore.version import __version__
from btcore.web.answers import Answer
from btcore.web.bodies import IncompleteAnswer, read_body
from btcore.web.connections import Adapter
from btcore.web.deadline import Deadline, NameResolver
from btcore.web.faults import header_problem, lone_surrogate
from btcore.web.texts import Sanitizer, describe_cause, host_of

# at debug level it logs complete addresses, with the keys in them
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
# it logs the address and a traceback with headers that it cannot read
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class Client:
    """One service over HTTP. The connection is kept open; redirects are not followed, so no key is sent elsewhere."""

    def __init__(
        self,
        *,
        agent: str,
        timeout: float,
        secrets: Iterable[Secret] = (),
        headers: Mapping[str, str] | None = None,
        ca: Path | None = None,
    ) -> None:
        """Prepare; nothing is sent. `agent` is the name of the plugin, `headers` are sent with every request.

        `timeout` is the time limit of a request in seconds, from the look-up of the name to the last byte of the
        answer. `secrets` are redacted in every text that is shown, as an answer may repeat what was sent; secrets of
        fewer than four characters are not, as messages would be unreadable. `ca` is a file of the certificates to
        trust, in place of those that are usual. Raises Stop if a header is invalid.
        """
        self._timeout = timeout
        self._ca = None if ca is None else str(ca)
        self._secrets = [secret.reveal() for secret in secrets]
        self._sanitize = Sanitizer(self._secrets)
        self._names = NameResolver()
        self._session = requests.Session()
        self._session.auth = _unchanged  # otherwise requests sends the credentials of ~/.netrc
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, Adapter())
        usual = {"User-Agent": f"btcore/{__version__} {agent}", "Accept-Encoding": "identity", **(headers or {})}
        if fault := header_problem(usual):
            raise Stop(f"cannot send: {fault}")
        self._session.headers.update(_encode_headers(usual))

    def send(
        self,
        method: str,
        url: str,
        *,
        data: bytes | str | Mapping[str, str] | None = None,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | tuple[str, str] | None = None,
    ) -> Answer:
        """Send one request; return the answer, whatever its code.

        Raises Retry if there is no complete answer in time; Reject if the request is invalid, such as with NaN in JSON
        or a line break in a header; Stop if the address is invalid.
        """
        host = host_of(url)
        if lone_surrogate(url):
            raise _bad_address(host)
        self._check_headers(host, headers or {})
        try:
            request = self._session.prepare_request(
                requests.Request(
                    method,
                    url,
                    data=data.encode() if isinstance(data, str) else data,
                    json=json,
                    params=params,
                    headers=_encode_headers(headers),
                    auth=HTTPBasicAuth(*(text.encode() for text in auth)) if isinstance(auth, tuple) else auth,
                )
            )
        except (InvalidURL, InvalidSchema, MissingSchema) as error:
            fault: Exception = _bad_address(host, error)
        except InvalidJSONError:
            fault = Reject(f"the request to {host} is invalid: JSON has no NaN and no infinite numbers")
        except UnicodeError:
            fault = Reject(f"the request to {host} is invalid: it contains half a character (a lone surrogate)")
        else:
            return self._answer(request, host)
        raise fault

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def redact(self, text: str, credentials: str = "") -> str:
        """Return a text for a log or a screen: one line of plain characters, with secrets redacted."""
        return self._sanitize(text, credentials)

    def _check_headers(self, host: str, headers: Mapping[str, str]) -> None:
        """Raise Reject for an invalid header, or Stop if a secret in it is invalid: it is in every request."""
        if not (fault := header_problem(headers)):
            return
        wrong = [secret for secret in self._secrets if header_problem({"Secret": secret})]
        if any(secret in text for secret in wrong for text in headers.values()):
            raise Stop(f"cannot send to {host}: {fault}; check the key, token or password in the sink's table")
        raise Reject(f"the request to {host} is invalid: {fault}")

    def _answer(self, request: requests.PreparedRequest, host: str) -> Answer:
        """Send a request. The exceptions of requests contain the request with its key, so none of them leaves here."""
        deadline = Deadline(self._timeout, self._names)
        try:
            with deadline:
                answer = self._exchange(request)
        except requests.Timeout:
            fault: Exception = self._timeout_error(host)
        except (InvalidURL, InvalidSchema, MissingSchema) as error:
            fault = _bad_address(host, error)
        except IncompleteAnswer as error:
            fault = Retry(f"the answer of {host} was cut off: {self._reason(error)}")
        except ProxyError as error:
            fault = Retry(f"no answer from {host} through the proxy: {self._reason(error)}")
        except (OSError, HTTPError, HTTPException) as error:
            fault = Retry(f"no answer from {host}: {self._reason(error)}")
        else:
            if not deadline.over:
                return answer
            fault = self._timeout_error(host)
        raise self._timeout_error(host) if deadline.over and isinstance(fault, Retry) else fault

    def _exchange(self, request: requests.PreparedRequest) -> Answer:
        # from the environment: proxies, and certificates unless there are own ones
        around: dict[str, Any] = dict(
            self._session.merge_environment_settings(request.url or "", {}, stream=True, verify=self._ca, cert=None)
        )
        response = self._session.send(request, timeout=self._timeout, allow_redirects=False, **around)
        with response:
            found = {"date": formatdate(usegmt=True)}  # RFC 9110: an answer without a date is dated now
            found.update((name.lower(), value) for name, value in response.headers.items())
            text = read_body(response).decode(errors="replace")
            return Answer(response.status_code, self.redact(text, _credentials(request)), found, body=text)

    def _timeout_error(self, host: str) -> Retry:
        hangs = ": the look-up of its name does not return" if self._names.is_hanging else ""
        return Retry(f"{host} did not answer within {self._timeout:g} s{hangs}")

    def _reason(self, error: Exception) -> str:
        return (
            str(error) if isinstance(error, IncompleteAnswer) and error.args else describe_cause(error, self._sanitize)
        )


def _encode_headers(headers: Mapping[str, str] | None) -> dict[str, bytes]:
    """Encode headers in UTF-8: requests takes Latin-1, and fails at letters that Latin-1 lacks."""
    return {name: text.encode() for name, text in (headers or {}).items()}


def _credentials(sent: requests.PreparedRequest) -> str:
    """Return name and password as they were sent: base64 is not encryption."""
    header = sent.headers.get("Authorization")
    return header.rpartition(" ")[2] if isinstance(header, str) else ""


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _bad_address(host: str, error: Exception | None = None) -> Stop:
    if isinstance(error, InvalidProxyURL):
        return Stop(f"cannot send to {host}: check the address of the proxy in the environment (HTTPS_PROXY)")
    return Stop(f"cannot send to {host or 'an address without a host'}: check `url`")
