"""The group names that Keras gives its objects in a weights file.

Source: `keras/src/saving/saving_lib.py` (`_save_container_state`, `to_snake_case`), Keras 2.13 to 3.15.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from modelscan.topology import Block, BlockKind

_EXPORTED_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Layers whose exported name is not the name of their Python class, which is what the group is called after."""


@lru_cache(maxsize=1024)
def snake_case(class_name: str, letters_and_digits: bool = False) -> str:
    """`Conv2DTranspose` → `conv2d_transpose`. tf-keras counts digits as part of a word (`letters_and_digits`)."""
    name = re.sub(r"\W+", "", _EXPORTED_NAMES.get(class_name, class_name))
    name = re.sub("(.)([A-Z][a-z0-9]+)" if letters_and_digits else "(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def class_of(block: Block, registered: bool = False) -> str:
    """The Python class name, which a custom class may have registered under another; files without modules have the registered one."""
    return ((registered and block.registered_name) or block.class_name).rsplit(">", 1)[-1]


def container_names(blocks: Iterable[Block], letters_and_digits: bool = False, registered: bool = False) -> Iterator[tuple[Block, str]]:
    """Each block of one `layers` container with its group name: the class in snake case, numbered per class."""
    used: dict[str, int] = {}
    for block in blocks:
        name = snake_case(class_of(block, registered), letters_and_digits)
        count = used.get(name, 0)
        used[name] = count + 1
        yield block, f"{name}_{count}" if count else name


def stored_blocks(model: Block) -> list[Block]:
    """The blocks of a model that its `layers` attribute holds: not the input of a Sequential, not Keras 3's operations."""
    blocks = [one for one in model.blocks if one.kind is not BlockKind.OPERATION or not (one.module or "").startswith("keras")]
    if model.kind is BlockKind.SEQUENTIAL and blocks and blocks[0].class_name == "InputLayer":
        return blocks[1:]
    return blocks


def natural(name: str) -> tuple[int, int, str]:
    """Sort key: numbers as numbers, before and apart from words."""
    return (0, int(name), "") if name.isdecimal() and len(name) < 20 else (1, 0, name)
