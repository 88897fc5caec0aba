# SPDX-License-Identifier: GPL-3.0-or-later
"""The URL of a journal in the stream: `nats://HOST:PORT,HOST:PORT/STREAM?partitions=16`, and what it may say more.

    nats://n1:4222,n2:4222,n3:4222/energy?partitions=16&nkey=/etc/btcore/archive.nk&publishers=/etc/btcore/houses.toml

`tls://` is encrypted. Nothing is connected here.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import attrs

from btcore import ConfigurationError, Duration, Problem, Secret
from btcore.journal.opening import wrong_url
from btmon_nats.login import Login
from btmon_nats.subjects import MAX_PARTITIONS, NAME, PARTITIONS

FILES = ("credentials", "nkey", "tls_ca", "tls_cert", "tls_key")
"""Parameters that name a file, as the settings of a sink do."""

PARAMETERS = ("partitions", "publishers", "timeout", "token", *FILES)

EXAMPLE = "expected nats://HOST:4222/STREAM?partitions=16, such as nats://n1:4222,n2:4222/energy?partitions=16"

TIMEOUT = 5.0


@attrs.frozen
class Address:
    """What a URL says."""

    login: Login
    partitions: int = PARTITIONS
    publishers: Mapping[str, Sequence[str]] = attrs.field(factory=dict)


def parse(url: str) -> Address:
    """Read a URL. Raises ConfigurationError, which shows nothing of it."""
    scheme, mark, rest = url.partition("://")
    where, _, query = rest.partition("?")
    user, _, where = where.rpartition("@")
    hosts, _, stream = where.partition("/")
    if scheme not in ("nats", "tls") or not mark or not hosts or not NAME.fullmatch(stream):
        raise wrong_url(EXAMPLE)
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := [name for name in given if name not in PARAMETERS]:
        raise wrong_url(f"{unknown[0]!r:.40} is no parameter of a journal in NATS; there are {', '.join(PARAMETERS)}")
    name, _, password = user.partition(":")
    login = Login(
        stream=stream,
        servers=[f"{scheme}://{host}" for host in hosts.split(",")],
        user=unquote(name),
        password=Secret(unquote(password)),
        token=Secret(given.get("token", "")),
        timeout=Duration(_number(given, "timeout", TIMEOUT, 0.5, 600.0)),
    )
    for one in FILES:
        if one in given:
            setattr(login, one, Path(given[one]))
    for problem in login.check():
        raise _wrong(problem)
    partitions = int(_number(given, "partitions", PARTITIONS, 1, MAX_PARTITIONS))
    return Address(login, partitions, _publishers(given.get("publishers", "")))


def _wrong(problem: Problem) -> ConfigurationError:
    return wrong_url(f"{problem.key}: {problem.message}" if problem.key else problem.message)


def _number(given: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """Return a number among the parameters; of seconds, `10s` is as good as `10`."""
    if name not in given:
        return default
    try:
        number = float(given[name].removesuffix("s"))
    except ValueError:
        number = low - 1
    if not low <= number <= high or (name == "partitions" and number != int(number)):
        raise wrong_url(f"{name}: expected a number from {low:g} to {high:g}")
    return number


def _publishers(file: str) -> Mapping[str, Sequence[str]]:
    """Read who may bring which meters: a line such as `house-1 = ["01000777"]` for each publisher."""
    if not file:
        return {}
    try:
        with Path(file).open("rb") as opened:
            found = tomllib.load(opened)
    except OSError as error:
        raise wrong_url(f"publishers: {file}: {error.strerror}") from None
    except ValueError as error:
        raise wrong_url(f"publishers: {file}: {error}") from None
    wrong = [name for name, meters in found.items() if not _is_list_of_text(meters)]
    if wrong or not found:
        raise wrong_url(f'publishers: {file}: expected lines such as house-1 = ["01000777"]')
    return found


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
