# SPDX-License-Identifier: GPL-3.0-or-later
"""The peers that are connected: which new ones are refused, and which is closed when room is needed.

A connection is *proven* once a packet of a meter came in on it. A proven one is never closed for one that is not. No
socket here: `connections.py` asks.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from btcore.light import define

MAX_UNPROVEN = 256
"""Connections of one address that have brought no packet; above it the longest silent one of them is closed.

It is half of `max_connections` where that is more: a fleet that connects again at once may come from one address.
"""

MAX_JUNK_BYTES = 1 << 16
"""Bytes without a packet after which a connection is closed."""

MIN_REFUSAL = 60.0
"""Seconds for which an address that sent only junk is refused; doubled each time."""

MAX_REFUSAL = 3600.0

TRIAL_INTERVAL = 10.0
"""Seconds after which such an address may open one connection: it may belong to a meter as well."""

PROOF_LIFETIME = 3600.0
"""Seconds for which an address that sent packets is not refused."""

MAX_ADDRESSES = 1024
"""Addresses that are remembered; above it the oldest one is forgotten."""

PREFIX = 64
"""Bits of an IPv6 address that identify its owner, who has all addresses of that network."""

MAPPED = 96
"""Bits before an IPv4 address that is a part of IPv6."""

Network = IPv4Network | IPv6Network


@define(eq=False)
class Peer:
    """One connection: its address, and whether it is proven."""

    address: str
    proven: bool = False


@define
class _Penalty:
    """For how long an address is refused, until when, and when it may try."""

    wait: float
    until: float
    next_try: float


class Peers:
    """The connections that are open. Times are seconds of a clock that never goes back."""

    def __init__(self, max_connections: int, allow: Sequence[Network] = ()) -> None:
        """Allow at most `max_connections`; only from the networks of `allow`, if there are any."""
        self._max_connections = max_connections
        self._max_unproven = max(MAX_UNPROVEN, max_connections // 2)
        self._allow = allow
        self._open: dict[Peer, None] = {}
        self._unproven: OrderedDict[Peer, None] = OrderedDict()  # the one silent for longest is the first
        self._unproven_of: dict[str, OrderedDict[Peer, None]] = {}
        self._proven: OrderedDict[str, float] = OrderedDict()
        self._penalties: OrderedDict[str, _Penalty] = OrderedDict()

    def refusal_reason(self, host: str, now: float) -> str:
        """Return why a new connection is refused; "" where it is accepted."""
        if self._allow and not is_allowed(host, self._allow):
            return "its address is in none of the networks of `allow`"
        penalty = self._penalties.get(address_key(host))
        if penalty is None or now >= penalty.until or self._is_known(address_key(host), now):
            return ""
        if now < penalty.next_try:
            return "its address sent junk"
        penalty.next_try = now + TRIAL_INTERVAL
        return ""

    def add(self, host: str) -> Peer:
        """Add a new connection."""
        peer = Peer(address_key(host))
        self._open[peer] = None
        self._unproven[peer] = None
        self._unproven_of.setdefault(peer.address, OrderedDict())[peer] = None
        return peer

    def note_activity(self, peer: Peer) -> None:
        """Take note that something came in on a connection."""
        if peer in self._unproven:
            self._unproven.move_to_end(peer)
            self._unproven_of[peer.address].move_to_end(peer)

    def remove(self, peer: Peer) -> None:
        """Take note that a connection is closed."""
        self._open.pop(peer, None)
        self._remove_unproven(peer)

    def peer_to_close(self, newest: Peer) -> Peer | None:
        """Return the connection to close after the newest was added: never a proven one for one that is not."""
        of_address = self._unproven_of.get(newest.address, ())
        if len(of_address) > self._max_unproven:
            return next(iter(of_address))
        if len(self._open) > self._max_connections:
            return next(iter(self._unproven), newest)
        return None

    def longest_silent_unproven(self) -> Peer | None:
        """Return the connection to close first when the system has no room."""
        return next(iter(self._unproven), None)

    def prove(self, peer: Peer, now: float) -> None:
        """Take note that a packet came in on a connection."""
        if not peer.proven:
            peer.proven = True
            self._remove_unproven(peer)
        self._proven[peer.address] = now
        self._proven.move_to_end(peer.address)
        self._penalties.pop(peer.address, None)
        _limit(self._proven)

    def penalize(self, peer: Peer, now: float) -> None:
        """Refuse the address of a connection for a while, unless a meter has the same address."""
        if self._is_known(peer.address, now):
            return
        before = self._penalties.pop(peer.address, None)
        wait = MIN_REFUSAL if before is None else min(2 * before.wait, MAX_REFUSAL)
        self._penalties[peer.address] = _Penalty(wait, now + wait, now + TRIAL_INTERVAL)
        _limit(self._penalties)

    def _is_known(self, address: str, now: float) -> bool:
        return now - self._proven.get(address, -PROOF_LIFETIME) < PROOF_LIFETIME

    def _remove_unproven(self, peer: Peer) -> None:
        self._unproven.pop(peer, None)
        of_address = self._unproven_of.get(peer.address)
        if of_address is not None:
            of_address.pop(peer, None)
            if not of_address:
                del self._unproven_of[peer.address]


@lru_cache(maxsize=256)  # asked for twice of each connection, and many may come from one address
def address_key(host: str) -> str:
    """Return the key by which an address is remembered: of IPv6, the network of its owner."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, PREFIX), strict=False))
    return str(address)


def is_allowed(host: str, allow: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks."""
    address = ipaddress.ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in allow if network.version == address.version)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks and single addresses. Raises ValueError with the one that is none."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(_unmapped(ipaddress.ip_network(text.strip(), strict=False)))
        except ValueError:
            raise ValueError(f'expected networks such as "192.168.1.0/24" or addresses, not {text!r}') from None
    return tuple(found)


def _limit(table: "OrderedDict[str, float] | OrderedDict[str, _Penalty]") -> None:
    while len(table) > MAX_ADDRESSES:
        table.popitem(last=False)


def _unmapped(network: Network) -> Network:
    """Return a network of IPv4 as itself where it is written as a part of IPv6."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED)) if mapped else network
