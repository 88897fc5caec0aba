"""Who may stay connected: what is known of each connection and each address, and who goes when room is needed.

A connection is *proven* once a packet of a meter came in on it. A proven one is never closed for one that is not. No
socket here: `connections.py` asks.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import attrs

MOST_UNPROVEN = 256
"""Connections of one address that have brought no packet; beyond it the one of them silent for longest goes."""

FRUITLESS = 1 << 16
"""Bytes without a packet after which a connection is closed."""

FIRST_WAIT = 60.0
"""Seconds for which an address is refused that brought nothing else; doubled each time."""

LONGEST_WAIT = 3600.0

TRY = 10.0
"""Seconds after which such an address may try with one connection: a meter may be behind it that was not heard yet."""

REMEMBERED = 3600.0
"""Seconds for which an address that brought packets is known by it."""

MOST_ADDRESSES = 1024
"""Addresses of which something is known; beyond it the one that was longest so is forgotten."""

PREFIX = 64
"""Bits by which addresses of IPv6 are told apart: who has one has all behind it."""

MAPPED = 96
"""Bits before an IPv4 address that is a part of IPv6."""

Network = IPv4Network | IPv6Network


@attrs.define(eq=False)
class Guest:
    """A connection, as far as it matters here."""

    address: str
    proven: bool = False


@attrs.define
class _Penalty:
    """For how long an address is refused, until when, and when it may try."""

    wait: float
    until: float
    next_try: float


class Guests:
    """The connections that are open. Times are seconds of a clock that never goes back."""

    def __init__(self, most: int, allow: Sequence[Network] = ()) -> None:
        """Let in at most so many, of these networks only where there are any."""
        self._most = most
        self._allow = allow
        self._open: dict[Guest, None] = {}
        self._unproven: OrderedDict[Guest, None] = OrderedDict()  # the one silent for longest is the first
        self._of: dict[str, OrderedDict[Guest, None]] = {}
        self._proven: OrderedDict[str, float] = OrderedDict()
        self._penalties: OrderedDict[str, _Penalty] = OrderedDict()

    def refusal(self, host: str, now: float) -> str:
        """Say why a new connection is not wanted; "" where it is."""
        address = ipaddress.ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if self._allow and not any(address in network for network in self._allow if network.version == address.version):
            return "its address is in none of the networks of `allow`"
        penalty = self._penalties.get(place_of(host))
        if penalty is None or now >= penalty.until or self._is_known(place_of(host), now):
            return ""
        if now < penalty.next_try:
            return "its address sent what is no packet"
        penalty.next_try = now + TRY
        return ""

    def enter(self, host: str) -> Guest:
        """Take in a new connection."""
        guest = Guest(place_of(host))
        self._open[guest] = None
        self._unproven[guest] = None
        self._of.setdefault(guest.address, OrderedDict())[guest] = None
        return guest

    def heard(self, guest: Guest) -> None:
        """Take note that something came in on a connection."""
        if guest in self._unproven:
            self._unproven.move_to_end(guest)
            self._of[guest.address].move_to_end(guest)

    def leave(self, guest: Guest) -> None:
        """Take note that a connection is closed."""
        self._open.pop(guest, None)
        self._settle(guest)

    def surplus(self, newest: Guest) -> Guest | None:
        """Return the connection that has to go since the newest came in: never a proven one for one that is not."""
        of_address = self._of.get(newest.address, ())
        if len(of_address) > MOST_UNPROVEN:
            return next(iter(of_address))
        if len(self._open) > self._most:
            return next(iter(self._unproven), newest)
        return None

    def first_to_go(self) -> Guest | None:
        """Return the connection that goes first when the system has no room."""
        return next(iter(self._unproven), None)

    def prove(self, guest: Guest, now: float) -> None:
        """Take note that a packet came in on a connection."""
        if not guest.proven:
            guest.proven = True
            self._settle(guest)
        self._proven[guest.address] = now
        self._proven.move_to_end(guest.address)
        self._penalties.pop(guest.address, None)
        _bound(self._proven)

    def penalize(self, guest: Guest, now: float) -> None:
        """Let the address of a connection wait, unless meters use it as well."""
        if self._is_known(guest.address, now):
            return
        before = self._penalties.pop(guest.address, None)
        wait = FIRST_WAIT if before is None else min(2 * before.wait, LONGEST_WAIT)
        self._penalties[guest.address] = _Penalty(wait, now + wait, now + TRY)
        _bound(self._penalties)

    def _is_known(self, address: str, now: float) -> bool:
        return now - self._proven.get(address, -REMEMBERED) < REMEMBERED

    def _settle(self, guest: Guest) -> None:
        self._unproven.pop(guest, None)
        of_address = self._of.get(guest.address)
        if of_address is not None:
            of_address.pop(guest, None)
            if not of_address:
                del self._of[guest.address]


def place_of(host: str) -> str:
    """Return what stands for an address: of IPv6, the network that its owner has."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, PREFIX), strict=False))
    return str(address)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks and single addresses. Raises ValueError with the one that is none."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(_plain(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:
            raise ValueError(f'expected networks such as "192.168.1.0/24" or addresses, not {text!r}') from None
    return tuple(found)


def _bound(table: "OrderedDict[str, float] | OrderedDict[str, _Penalty]") -> None:
    while len(table) > MOST_ADDRESSES:
        table.popitem(last=False)


def _plain(network: Network) -> Network:
    """Return a network of IPv4 as itself where it is written as a part of IPv6."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED)) if mapped else network
