# SPDX-License-Identifier: GPL-3.0-or-later
"""The address of the service, in the forms that a configuration may have.

Nothing is sent from here.
"""

from urllib.parse import urlsplit, urlunsplit

DEFAULT = "https://pvoutput.org/service/r2/"

_PAGES = urlsplit(DEFAULT).path


def base_url(url: str) -> str:
    """Return the address that the service's pages are below, with a slash at its end.

    Takes that address itself, the one of a page (`http://host/service/r2/addstatus.jsp`, as btmon had it), or a bare
    `http://host:port`.
    """
    scheme, host, path, _, _ = urlsplit(url.strip())
    if path.endswith(".jsp"):
        path = path.rpartition("/")[0]
    return urlunsplit((scheme, host, f"{path.rstrip('/')}/" if path.strip("/") else _PAGES, "", ""))


def is_hosted(url: str) -> bool:
    """Whether an address leads to the Internet."""
    from btcore.web import is_public  # noqa: PLC0415 - listing the plugins must not import requests

    return is_public(url)


def fault(url: str) -> str:
    """Describe what is wrong with an address, "" when nothing is."""
    from btcore.web import url_problem  # noqa: PLC0415 - listing the plugins must not import requests

    if wrong := url_problem(url.strip()):
        return wrong
    parts = urlsplit(url.strip())
    if parts.scheme == "http" and f".{parts.hostname}".endswith(".pvoutput.org"):
        return "write https: over http others on the network can read api_key"
    return ""
