"""Where the service is: the address of its pages, made of what a person may have written.

Nothing is sent from here.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

DEFAULT = "https://pvoutput.org/service/r2/"

_PAGES = urlsplit(DEFAULT).path


def base(url: str) -> str:
    """Return the address that the service's pages are below, with a slash at its end.

    Takes that address itself, the one of a page (`http://host/service/r2/addstatus.jsp`, as btmon had it), or a bare
    `http://host:port`.
    """
    scheme, place, path, _, _ = urlsplit(url.strip())
    if path.endswith(".jsp"):
        path = path.rpartition("/")[0]
    return urlunsplit((scheme, place, f"{path.rstrip('/')}/" if path.strip("/") else _PAGES, "", ""))


def faults(url: str) -> Iterator[str]:
    """Tell what is wrong with an address, one sentence each."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.scheme not in ("http", "https"):
        yield f"expected an address such as {DEFAULT}"
    elif "@" in parts.netloc:
        yield "expected an address without a name and password: PVOutput knows you by api_key"
    elif parts.scheme == "http" and (host == "pvoutput.org" or host.endswith(".pvoutput.org")):
        yield "write https: over http anybody on the way can read api_key"
