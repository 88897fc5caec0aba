"""The client: one request at a time to one service, within its time, answered by a whole answer or none.

What an answer means is in `sinks/results.py`.
"""

import logging
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from http.client import HTTPException
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

# at debug level it logs whole addresses, with whatever key is in them
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
# it warns of headers that it cannot read, with the address and the traceback
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class Client:
    """One service over HTTP. One connection is kept; redirects are not followed, so that a key goes nowhere else."""

    def __init__(
        self, *, agent: str, timeout: float, secrets: Iterable[Secret] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        """Prepare; nothing is sent. `agent` names the plugin, `headers` go with every request.

        `timeout` is seconds: all that a request may take, from looking the name up to the last byte of the answer.
        `secrets` are redacted out of every text that is shown, as an answer may repeat what it was sent; those of fewer
        than four characters are not, as every other word would be gone. Raises Stop when a header can never be sent.
        """
        self._timeout = timeout
        self._secrets = [secret.reveal() for secret in secrets]
        self._sanitize = Sanitizer(self._secrets)
        self._names = NameResolver()
        self._session = requests.Session()
        self._session.auth = _unchanged  # else requests sends what ~/.netrc has for the host
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, Adapter())
        usual = {"User-Agent": f"btcore/{__version__} {agent}", "Accept-Encoding": "identity", **(headers or {})}
        if fault := header_problem(usual):
            raise Stop(f"nothing can be sent: {fault}")
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

        Raises Retry when none came in time, or not the whole of it; Reject when it can never be sent as it is: NaN in
        JSON, a line break in a header; Stop when the address is none.
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
            fault = Reject(f"it can never be sent to {host}: JSON has no NaN and no infinite number")
        except UnicodeError:
            fault = Reject(f"it can never be sent to {host}: it has half a character in it (a lone surrogate)")
        else:
            return self._answer(request, host)
        raise fault

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def redact(self, text: str, credentials: str = "") -> str:
        """Make a text fit for a log or a screen: one line of plain characters, without any secret."""
        return self._sanitize(text, credentials)

    def _check_headers(self, host: str, headers: Mapping[str, str]) -> None:
        """Raise Reject where a header can never be sent, or Stop where that is a secret's fault: no other has one."""
        if not (fault := header_problem(headers)):
            return
        wrong = [secret for secret in self._secrets if header_problem({"Secret": secret})]
        if any(secret in text for secret in wrong for text in headers.values()):
            raise Stop(f"nothing can be sent to {host}: {fault}; check the key, token or password in the sink's table")
        raise Reject(f"it can never be sent to {host}: {fault}")

    def _answer(self, request: requests.PreparedRequest, host: str) -> Answer:
        """Send what was prepared. What requests raises holds the request, with the key in it: it goes no further."""
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
            fault = Retry(f"no answer from {host} by way of the proxy: {self._reason(error)}")
        except (OSError, HTTPError, HTTPException) as error:
            fault = Retry(f"no answer from {host}: {self._reason(error)}")
        else:
            if not deadline.over:
                return answer
            fault = self._timeout_error(host)
        raise self._timeout_error(host) if deadline.over and isinstance(fault, Retry) else fault

    def _exchange(self, request: requests.PreparedRequest) -> Answer:
        # the environment: proxies, and whom to trust
        around: dict[str, Any] = dict(
            self._session.merge_environment_settings(request.url or "", {}, stream=True, verify=None, cert=None)
        )
        response = self._session.send(request, timeout=self._timeout, allow_redirects=False, **around)
        with response:
            found = {"date": formatdate(usegmt=True)}  # RFC 9110: an answer without a date is of now
            found.update((name.lower(), value) for name, value in response.headers.items())
            text = read_body(response).decode(errors="replace")
            return Answer(response.status_code, self.redact(text, _credentials(request)), found, body=text)

    def _timeout_error(self, host: str) -> Retry:
        hangs = ": the look-up of its name hangs" if self._names.is_hanging else ""
        return Retry(f"{host} did not answer within {self._timeout:g} s{hangs}")

    def _reason(self, error: Exception) -> str:
        return (
            str(error) if isinstance(error, IncompleteAnswer) and error.args else describe_cause(error, self._sanitize)
        )


def _encode_headers(headers: Mapping[str, str] | None) -> dict[str, bytes]:
    """Write headers in UTF-8: left to itself, requests takes Latin-1, and fails at letters that it lacks."""
    return {name: text.encode() for name, text in (headers or {}).items()}


def _credentials(sent: requests.PreparedRequest) -> str:
    """Return name and password as they were sent: in a form that anybody can read."""
    header = sent.headers.get("Authorization")
    return header.rpartition(" ")[2] if isinstance(header, str) else ""


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _bad_address(host: str, error: Exception | None = None) -> Stop:
    if isinstance(error, InvalidProxyURL):
        return Stop(f"nothing can be sent to {host}: check the address of the proxy in the environment (HTTPS_PROXY)")
    return Stop(f"nothing can be sent to {host or 'an address without a host'}: check `url`")
