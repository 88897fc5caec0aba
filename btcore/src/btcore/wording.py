"""Numbers of things as a person says them. Lengths of time are told in `outcome.py`."""


def counted(number: int, thing: str) -> str:
    """Tell a number of things by the name of one: `1 sink`, `2 sinks`."""
    return either(number, thing, f"{thing}s")


def either(number: int, one: str, several: str) -> str:
    """Tell a number with the words that follow it: `1 sink is`, `2 sinks are`."""
    return f"{number} {one if number == 1 else several}"


class Count(int):
    """A number that a template may tell with what it counts: `{count:packet}` is `1 packet`, `2 packets`."""

    def __format__(self, thing: str) -> str:
        """Tell it, by the name of one thing where there is any."""
        return counted(self, thing) if thing else str(int(self))
