"""Who may stay connected: meters before all others, whatever the others do."""

import pytest
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btmon_ip.guests import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_ADDRESSES,
    MOST_UNPROVEN,
    REMEMBERED,
    TRY,
    Guest,
    Guests,
    networks,
    place_of,
)

REFUSED = "its address sent what is no packet"

ADDRESSES = ("192.168.1.5", "10.0.0.9", "2001:db8::1")


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["enter", "prove", "heard", "leave"]), st.integers(0, 50)), max_size=120))
def test_a_connection_that_brings_packets_is_never_closed_for_one_that_does_not(steps: list[tuple[str, int]]) -> None:
    """However connections come and go, there are never more than allowed, and no proven one goes for an unproven."""
    guests, there = Guests(8), list[Guest]()
    for what, number in steps:
        if what == "enter":
            newest = guests.enter(ADDRESSES[number % 3])
            there.append(newest)
            gone = guests.surplus(newest)
            if gone is not None:
                assert not gone.proven
                guests.leave(gone)
                there.remove(gone)
        elif there:
            guest = there[number % len(there)]
            {"prove": lambda one: guests.prove(one, 0.0), "heard": guests.heard, "leave": guests.leave}[what](guest)
            if what == "leave":
                there.remove(guest)
        assert len(there) <= 8


def test_an_address_has_so_many_connections_without_a_packet() -> None:
    """Beyond the bound the one silent for longest of the same address goes, and no other's."""
    guests = Guests(10_000)
    other = guests.enter("10.0.0.1")
    first, *rest = [guests.enter("192.168.1.5") for _ in range(MOST_UNPROVEN)]
    assert all(guests.surplus(guest) is None for guest in (other, first, *rest))
    guests.heard(first)
    assert guests.surplus(guests.enter("192.168.1.5")) is rest[0]


def test_an_address_that_brings_no_packets_waits_longer_and_longer() -> None:
    """After each connection of nothing but junk it is refused for longer, an hour at most."""
    guests, now = Guests(10), 0.0
    for wait in (FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT):
        guest = guests.enter("192.168.1.5")
        guests.penalize(guest, now)
        guests.leave(guest)
        assert guests.refusal("192.168.1.5", now + 1) == REFUSED
        assert [guests.refusal("192.168.1.5", now + wait - 1) for _ in range(3)][1:] == [REFUSED] * 2
        assert guests.refusal("192.168.1.6", now) == ""
        now += wait
        assert guests.refusal("192.168.1.5", now) == ""
    for _ in range(20):
        guests.penalize(Guest("192.168.1.5"), now)
    assert guests.refusal("192.168.1.5", now + LONGEST_WAIT) == ""


def test_an_address_that_meters_use_does_not_wait_for_others() -> None:
    """Behind one address there may be a meter and something else: who brought packets lately may come again."""
    guests = Guests(10)
    guests.prove(guests.enter("192.168.1.5"), 100.0)
    guests.penalize(guests.enter("192.168.1.5"), 200.0)
    assert guests.refusal("192.168.1.5", 201.0) == ""
    guests.penalize(guests.enter("192.168.1.5"), 101.0 + REMEMBERED)
    assert guests.refusal("192.168.1.5", 102.0 + REMEMBERED) == REFUSED


def test_a_meter_behind_an_address_that_waits_has_its_chance() -> None:
    """Now and then one connection of such an address may try: a packet on it ends the wait."""
    guests = Guests(10)
    guests.penalize(guests.enter("192.168.1.5"), 0.0)
    assert [guests.refusal("192.168.1.5", at) for at in (1.0, TRY, TRY + 1)] == [REFUSED, "", REFUSED]
    guests.prove(guests.enter("192.168.1.5"), TRY + 2)
    assert guests.refusal("192.168.1.5", TRY + 3) == ""


def test_what_is_known_of_addresses_is_bounded() -> None:
    """Any number of addresses takes no memory without end."""
    guests = Guests(10)
    for n in range(2 * MOST_ADDRESSES):
        guests.penalize(Guest(f"10.{n // 256}.{n % 256}.1"), 0.0)
        guests.prove(Guest(f"11.{n // 256}.{n % 256}.1"), 0.0)
    assert len(guests._penalties) == len(guests._proven) == MOST_ADDRESSES


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
    guests = Guests(10, networks(["192.168.1.0/24", "::ffff:10.0.0.9/128", "2001:db8:1::/48"]))
    assert (guests.refusal(host, 0.0) == "") is wanted


def test_addresses_of_ipv6_count_by_network() -> None:
    """Who has one address of a network has all of them."""
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:2") != place_of("2001:db8:0:1::1")
    assert place_of("::ffff:10.0.0.1") == "10.0.0.1"


def test_a_network_that_is_none_is_told() -> None:
    """A mistake in `allow` names what is wrong and what was expected."""
    with pytest.raises(
        ValueError, match=r'expected networks such as "192\.168\.1\.0/24" or addresses, not .192\.168\.1.'
    ):
        networks(["10.0.0.0/8", "192.168.1"])
