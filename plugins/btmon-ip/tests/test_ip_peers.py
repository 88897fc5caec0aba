# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may stay connected: meters before all others, whatever the others do."""

import pytest
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btmon_ip.peers import (
    MAX_ADDRESSES,
    MAX_REFUSAL,
    MAX_UNPROVEN,
    MIN_REFUSAL,
    PROOF_LIFETIME,
    TRIAL_INTERVAL,
    Peer,
    Peers,
    address_key,
    networks,
)

REFUSED = "its address sent junk"

ADDRESSES = ("192.168.1.5", "10.0.0.9", "2001:db8::1")


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "prove", "heard", "leave"]), st.integers(0, 50)), max_size=120))
def test_a_connection_that_brings_packets_is_never_closed_for_one_that_does_not(steps: list[tuple[str, int]]) -> None:
    """However connections come and go, there are never more than allowed, and no proven one goes for an unproven."""
    peers, there = Peers(8), list[Peer]()
    for what, number in steps:
        if what == "add":
            newest = peers.add(ADDRESSES[number % 3])
            there.append(newest)
            gone = peers.peer_to_close(newest)
            if gone is not None:
                assert not gone.proven
                peers.remove(gone)
                there.remove(gone)
        elif there:
            peer = there[number % len(there)]
            {"prove": lambda one: peers.prove(one, 0.0), "heard": peers.note_activity, "leave": peers.remove}[what](
                peer
            )
            if what == "leave":
                there.remove(peer)
        assert len(there) <= 8


def test_an_address_has_so_many_connections_without_a_packet() -> None:
    """Beyond the bound the one silent for longest of the same address goes, and no other's."""
    peers = Peers(512)
    other = peers.add("10.0.0.1")
    first, *rest = [peers.add("192.168.1.5") for _ in range(MAX_UNPROVEN)]
    assert all(peers.peer_to_close(peer) is None for peer in (other, first, *rest))
    peers.note_activity(first)
    assert peers.peer_to_close(peers.add("192.168.1.5")) is rest[0]


def test_a_fleet_may_connect_again_from_one_address() -> None:
    """Where many connections are allowed, half of them may come from one address before they bring packets."""
    peers = Peers(10_000)
    first, *_ = [peers.add("192.168.1.5") for _ in range(5000)]
    assert peers.peer_to_close(first) is None
    assert peers.peer_to_close(peers.add("192.168.1.5")) is first


def test_an_address_that_brings_no_packets_waits_longer_and_longer() -> None:
    """After each connection of nothing but junk it is refused for longer, an hour at most."""
    peers, now = Peers(10), 0.0
    for wait in (MIN_REFUSAL, 2 * MIN_REFUSAL, 4 * MIN_REFUSAL):
        peer = peers.add("192.168.1.5")
        peers.penalize(peer, now)
        peers.remove(peer)
        assert peers.refusal_reason("192.168.1.5", now + 1) == REFUSED
        assert [peers.refusal_reason("192.168.1.5", now + wait - 1) for _ in range(3)][1:] == [REFUSED] * 2
        assert peers.refusal_reason("192.168.1.6", now) == ""
        now += wait
        assert peers.refusal_reason("192.168.1.5", now) == ""
    for _ in range(20):
        peers.penalize(Peer("192.168.1.5"), now)
    assert peers.refusal_reason("192.168.1.5", now + MAX_REFUSAL) == ""


def test_an_address_that_meters_use_does_not_wait_for_others() -> None:
    """Behind one address there may be a meter and something else: who brought packets lately may come again."""
    peers = Peers(10)
    peers.prove(peers.add("192.168.1.5"), 100.0)
    peers.penalize(peers.add("192.168.1.5"), 200.0)
    assert peers.refusal_reason("192.168.1.5", 201.0) == ""
    peers.penalize(peers.add("192.168.1.5"), 101.0 + PROOF_LIFETIME)
    assert peers.refusal_reason("192.168.1.5", 102.0 + PROOF_LIFETIME) == REFUSED


def test_a_meter_behind_an_address_that_waits_has_its_chance() -> None:
    """Now and then one connection of such an address may try: a packet on it ends the wait."""
    peers = Peers(10)
    peers.penalize(peers.add("192.168.1.5"), 0.0)
    assert [peers.refusal_reason("192.168.1.5", at) for at in (1.0, TRIAL_INTERVAL, TRIAL_INTERVAL + 1)] == [
        REFUSED,
        "",
        REFUSED,
    ]
    peers.prove(peers.add("192.168.1.5"), TRIAL_INTERVAL + 2)
    assert peers.refusal_reason("192.168.1.5", TRIAL_INTERVAL + 3) == ""


def test_what_is_known_of_addresses_is_bounded() -> None:
    """Any number of addresses takes no memory without end."""
    peers = Peers(10)
    for n in range(2 * MAX_ADDRESSES):
        peers.penalize(Peer(f"10.{n // 256}.{n % 256}.1"), 0.0)
        peers.prove(Peer(f"11.{n // 256}.{n % 256}.1"), 0.0)
    assert len(peers._penalties) == len(peers._proven) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("192.168.1.77", True),
        ("::ffff:192.168.1.77", True),
        ("192.168.2.1", False),
        ("10.0.0.9", True),
        ("2001:db8:1::9", True),
        ("2001:db8:2::9", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_some_networks_may_connect(host: str, wanted: bool) -> None:
    """Networks and single addresses, of both kinds; IPv4 also where it comes as a part of IPv6."""
    peers = Peers(10, networks(["192.168.1.0/24", "::ffff:10.0.0.9/128", "2001:db8:1::/48"]))
    assert (peers.refusal_reason(host, 0.0) == "") is wanted


def test_addresses_of_ipv6_count_by_network() -> None:
    """Who has one address of a network has all of them."""
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:2") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:10.0.0.1") == "10.0.0.1"


def test_a_network_that_is_none_is_told() -> None:
    """A mistake in `allow` names what is wrong and what was expected."""
    with pytest.raises(
        ValueError, match=r'expected networks such as "192\.168\.1\.0/24" or addresses, not .192\.168\.1.'
    ):
        networks(["10.0.0.0/8", "192.168.1"])
