# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a virtual channel: no watt-second of them is lost or counted twice."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from btcore.virtual.counting import Counters, Terms, restored
from btcore.virtual.timeline import MAX_PIECES, Piece, Timeline

SECOND = 1_000_000


def pieces(lengths: list[int], energies: list[int], start: int = 0) -> list[Piece]:
    """Return consecutive pieces of these lengths in seconds."""
    found, at = [], start
    for length, energy in zip(lengths, energies, strict=False):
        found.append(Piece(at, at + length * SECOND, energy, length))
        at += length * SECOND
    return found


def test_one_meter_is_passed_on_as_it_is() -> None:
    """Where all channels are of one meter, each of its intervals is an interval of the virtual channel."""
    timeline = Timeline(["a"])
    given_pieces = pieces([10, 20], [5, -7])
    assert [one for piece in given_pieces for one in timeline.heard("a", piece.end, piece)] == given_pieces


def test_another_meter_s_energy_is_divided_by_time() -> None:
    """The energy of a second meter counts to the lead's intervals by how long it was in each."""
    timeline = Timeline(["a", "b"])
    lead = pieces([10, 10], [100, 100])
    assert [one for piece in lead for one in timeline.heard("a", piece.end, piece)] == []
    assert timeline.waits_for == ["b"]
    (whole,) = pieces([40], [400])
    assert [one.energy for one in timeline.heard("b", whole.end, whole)] == [200, 200]
    assert timeline.waits_for == []


def test_a_meter_that_comes_later_is_not_waited_for_before_it_came() -> None:
    """What the lead counted before another meter was heard for the first time is the lead's alone."""
    timeline = Timeline(["a", "b"])
    (lead,) = pieces([10], [100])
    assert list(timeline.heard("a", lead.end, lead)) == []
    assert list(timeline.heard("b", lead.end + SECOND, None)) == [lead]


HISTORY = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(-10_000, 10_000), st.booleans()),
    min_size=1,
    max_size=400,
)


@given(HISTORY)
def test_no_energy_is_lost_or_counted_twice(history: list[tuple[str, int, int, bool]]) -> None:
    """However the meters send, the intervals have all energy but what waits; a restart changes nothing."""
    timeline, at = Timeline("abc"), dict.fromkeys("abc", 0)
    put = taken = 0
    for serial, length, energy, is_restarted in history:
        piece = Piece(at[serial], at[serial] + length * SECOND, energy, length)
        at[serial] = piece.end
        put += energy
        taken += sum(one.energy for one in timeline.heard(serial, piece.end, piece))
        if is_restarted:
            state = timeline.state()
            timeline = Timeline("abc")
            timeline.restore(state)
    left = {name: part[1:] for name, part in timeline.state().items() if isinstance(part, list)}
    assert put == taken + sum(piece[2] for part in left.values() for piece in part)
    assert all(len(part) <= MAX_PIECES for part in left.values())


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["ch1", "ch2"])),
        st.fractions(-3, 3, max_denominator=100).filter(bool),
        min_size=1,
    ),
    st.lists(st.dictionaries(st.sampled_from(["ch1", "ch2"]), st.integers(0, 10**6)), min_size=1, max_size=30),
)
def test_it_has_counted_what_its_parts_counted(
    factors: dict[tuple[str, str], Fraction], counted: list[dict[str, int]]
) -> None:
    """Import less export of a virtual channel is the sum of its parts, to less than two watt-seconds."""
    terms = Terms(factors)
    counters = Counters(terms.unit)
    exact = Fraction(0)
    for channels in counted:
        for serial in terms.meters:
            counters.count(Piece(0, SECOND, terms.energy(serial, channels)))
            exact += sum(factors[serial, name] * ws for name, ws in channels.items() if (serial, name) in factors)
        counters = restored(counters.state(), terms.unit)
    _, absolute, polarized = counters.numbers
    assert abs(absolute - 2 * polarized - exact) < 2
