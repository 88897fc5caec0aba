# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an address leads: what is certainly near is not public, all else is, however it is written."""

import ipaddress
import socket

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from btcore.web import is_public

NEAR = [
    *("http://localhost", "http://localhost:8080/emoncms", "https://LOCALHOST.", "http://my.localhost"),
    *(
        "http://127.0.0.1:9",
        "http://127.255.0.3",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://[::1]:80",
    ),
    *(
        "http://10.1.2.3",
        "http://172.16.0.1",
        "http://172.31.255.255",
        "http://192.168.1.9/emoncms",
        "http://0.0.0.0:80",
    ),
    *(
        "http://169.254.7.7",
        "http://[fe80::1]",
        "http://[fe80::1%25eth0]:80/x",
        "http://[fd12:3456::1]",
        "http://[fc00::]",
    ),
    *("http://[::ffff:192.168.1.9]", "http://100.64.3.2", "http://[::]"),
    *("http://emonpi", "http://emonpi.", "http://emonpi:8080/x", "http://my_pi", "http://localhost.localdomain"),
    *(
        "http://emonpi.local/emoncms",
        "http://EmonPi.Local",
        "http://a.b.lan",
        "http://nas.home.arpa",
        "http://x.internal",
    ),
]

FAR = [
    *(
        "https://emoncms.org",
        "https://EMONCMS.org.",
        "http://8.8.8.8",
        "http://134744072",
        "http://[2001:4860:4860::8888]",
    ),
    *("http://172.32.0.1", "http://11.0.0.1", "http://[::ffff:8.8.8.8]", "http://128.0.0.1", "http://192.169.0.1"),
    *("http://local.example.com", "http://emonpi.notlocal", "http://mylan.net", "http://localhost.example.com"),
    *("http://localhost@emoncms.org", "http://user:pass@emoncms.org", "http://emoncms.org/localhost?x=.local"),
    *("http://emoncms.org\\.local", "http://emoncms.org#.local", "http://emoncms。org", "http://emoncms%2eorg"),
    *("", "nonsense", "http://", "http://[::1", "http:///path", "http://..local", "http://.local"),
]


@pytest.mark.parametrize("url", NEAR)
def test_what_is_near_is_not_public(url: str) -> None:
    """This computer, private networks, and names that are only given within them, in every form that they have."""
    assert is_public(url) is False


@pytest.mark.parametrize("url", FAR)
def test_all_else_is_public(url: str) -> None:
    """The Internet, and whatever is not certain to be near, or that other programs may read otherwise."""
    assert is_public(url) is True


PRIVATE = [
    ipaddress.ip_network(net)
    for net in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fe80::/10", "fc00::/7"),
    )
]
PORTS = st.one_of(st.just(""), st.integers(1, 65_535).map(lambda port: f":{port}"))
PATHS = st.sampled_from(["", "/", "/emoncms/input/bulk", "/?host=emoncms.org", "#8.8.8.8"])


@st.composite
def numbers_within(draw: st.DrawFn) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Draw a number of a private network."""
    net = draw(st.sampled_from(PRIVATE))
    return net[draw(st.integers(0, net.num_addresses - 1))]


def host(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Write a number as an address has it."""
    return f"[{number}]" if number.version == 6 else str(number)


@given(numbers_within(), PORTS, PATHS)
def test_no_number_of_a_private_network_is_public(
    number: ipaddress.IPv4Address | ipaddress.IPv6Address, port: str, path: str
) -> None:
    """Whatever follows it, and in whichever scheme."""
    assert not is_public(f"http://{host(number)}{port}{path}")
    assert not is_public(f"https://{host(number)}{port}{path}".upper().replace("HTTPS", "https"))


@given(st.integers(0, (1 << 32) - 1), PORTS, PATHS)
def test_a_number_is_as_public_however_it_is_written(number: int, port: str, path: str) -> None:
    """Dotted, one number, hexadecimal, octal, short, or within IPv6: a system that takes it goes to one place."""
    address = ipaddress.IPv4Address(number)
    first, rest = number >> 24, number & 0xFFFFFF
    forms = [str(address), str(number), hex(number), f"{first}.{rest}", f"0{first:o}.{rest:#x}", f"[::ffff:{address}]"]
    found = {is_public(f"http://{form}{port}{path}") for form in forms}
    assert found == {address.is_global}


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


def is_number(name: str) -> bool:
    """Whether a system takes a name for a number."""
    try:
        socket.inet_aton(name)
    except OSError:
        return False
    return True


@given(NAMES, st.sampled_from(["local", "lan", "home.arpa", "internal", "localhost"]), PORTS, PATHS, st.booleans())
def test_names_given_within_a_house_are_not_public(name: str, end: str, port: str, path: str, dot: bool) -> None:
    """Whatever is before such an end, capitals or not, and with the dot of the root or without."""
    for written in (name, name.upper()):
        assert not is_public(f"http://{written}.{end}{'.' if dot else ''}{port}{path}")


@given(NAMES, st.sampled_from(["org", "com", "de", "xlocal", "local.org", "lan.net", "in-addr.arpa"]), PORTS, PATHS)
def test_names_of_the_internet_are_public(name: str, end: str, port: str, path: str) -> None:
    """However like a name within a house they look."""
    assert is_public(f"http://{name}.{end}{port}{path}")


@given(LABELS, PORTS, PATHS)
def test_a_name_without_a_dot_is_not_public(name: str, port: str, path: str) -> None:
    """It is that of a computer near by, unless it is a number."""
    assume(not is_number(name))
    assert not is_public(f"http://{name}{port}{path}")


@given(st.text())
def test_anything_is_answered(text: str) -> None:
    """Whatever is asked about, it is one or the other, and nothing is looked up."""
    assert is_public(text) in (True, False)
    assert is_public(f"http://{text}/") in (True, False)
