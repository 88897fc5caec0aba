# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculated values of a sample: a mapping by label, and below it a tuple, in which each label has its place.

A place is found once for each packet format. So nobody makes a dict of the 480 values of a GEM, which takes longer than
to calculate them, and whoever wants many of them (a row of a table) picks them by their places.
"""

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from operator import itemgetter
from typing import Any

import attrs

from btcore.formats import Number

Picker = Callable[[Mapping[str, Number]], tuple[Any, ...]]
"""Returns some of the values of a sample."""


@attrs.frozen(eq=False)
class Places:
    """Where the values of each label are, in the order of the labels."""

    index: Mapping[str, int]

    def in_order(self, numbers: Sequence[Number]) -> Iterator[Number]:
        """Return the numbers in the order of the labels."""
        return map(numbers.__getitem__, self.index.values())


class Calculated(Mapping[str, Number]):
    """Values by label, which never change."""

    __slots__ = ("_index", "_numbers", "_places")

    def __init__(self, places: Places, numbers: tuple[Number, ...]) -> None:
        """Take the numbers, and their places."""
        self._places, self._index, self._numbers = places, places.index, numbers

    def __getitem__(self, label: str) -> Number:
        """Return a value. Raises KeyError for a label that there is not."""
        return self._numbers[self._index[label]]

    def __contains__(self, label: object) -> bool:
        """Whether there is such a label."""
        return label in self._index

    def __iter__(self) -> Iterator[str]:
        """Iterate over the labels."""
        return iter(self._index)

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._index)

    def items(self) -> ItemsView[str, Number]:
        """Return the labels and values."""
        return self.copy().items()

    def values(self) -> ValuesView[Number]:
        """Return the values."""
        return self.copy().values()

    def copy(self) -> dict[str, Number]:
        """Return a dict of the values: 17 µs for the 480 of a GEM."""
        return dict(zip(self._index, self._places.in_order(self._numbers), strict=True))

    def __or__(self, other: Mapping[str, Number]) -> dict[str, Number]:
        """Return a dict of these values and others, which come first."""
        return {**self.copy(), **other}

    def __ror__(self, other: Mapping[str, Number]) -> dict[str, Number]:
        """Return a dict of other values and these, which come first."""
        return {**other, **self.copy()}

    def __repr__(self) -> str:
        """Show all values."""
        return f"Calculated({self.copy()!r})"

    def pick(self, getters: dict[Places, Any], labels: Sequence[str]) -> tuple[Any, ...]:
        """Return the values of at least two labels. `getters` keeps, for the next time, what gets them."""
        get = getters.get(self._places)
        if get is None:
            get = getters[self._places] = itemgetter(*(self._index[label] for label in labels))
        return get(self._numbers)  # type: ignore[no-any-return] # of several it is a tuple


def picker(labels: Sequence[str]) -> Picker:
    """Return what picks the values of at least two labels of samples. It raises KeyError where one is missing."""
    by_label, getters = itemgetter(*labels), dict[Places, Any]()

    def pick(values: Mapping[str, Number]) -> tuple[Any, ...]:
        return values.pick(getters, labels) if isinstance(values, Calculated) else by_label(values)

    return pick
