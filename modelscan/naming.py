"""Names that are given once: who asks for one a second time gets it with a number behind it."""

from __future__ import annotations


def free(name: str, taken: dict[str, int], mark: str = "_", first: int = 2) -> str:
    """The name, or with the first free number behind it where it was given before. What is given is noted in `taken`.

    Args:
        name: what is asked for.
        taken: by name, the number from which on a free one is looked for: thousands of one name are not tried one by one.
        mark: what stands between name and number.
        first: the first number.
    """
    number = taken.get(name)
    if number is None:
        taken[name] = first
        return name
    found = f"{name}{mark}{number}"
    while found in taken:
        number += 1
        found = f"{name}{mark}{number}"
    taken[name] = number + 1
    taken[found] = first
    return found
