"""Numbers of things as a person says them. Lengths of time are told in `outcome.py`."""


def counted(number: int, thing: str) -> str:
    """Tell a number of things by the name of one: `1 sink`, `2 sinks`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
