"""Class names as Keras writes them into group names; the reader has the same rule for the groups of whole layers."""

from __future__ import annotations

import re


def snake_case(class_name: str) -> str:
    """`LSTMCell` → `lstm_cell`; source: `keras/src/utils/naming.py`."""
    name = re.sub(r"\W+", "", class_name.rsplit(">", 1)[-1])
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
