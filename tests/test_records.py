"""A record is what a frozen dataclass with slots is: the standard one stands beside it."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from inspect import signature

import pytest

from modelscan.records import record


class Plain:
    """A base without fields."""

    __slots__ = ()


def define(decorator):
    """The same two classes, made by either decorator."""

    @decorator(frozen=True, slots=True)
    class Point(Plain):
        """A point."""

        x: int
        """Docstrings of fields."""
        y: int = 2
        tags: dict[str, int] = field(default_factory=dict)

        def moved(self, by: int):
            return replace(self, x=self.x + by)

    @decorator(frozen=True, slots=True)
    class Named(Point):
        """A point with a name."""

        name: str = ""

    @decorator(frozen=True, slots=True)
    class Single:
        """One field, and a text of its own."""

        value: str

        def __repr__(self):
            return self.value

    return Point, Named, Single


OURS, THEIRS = define(record), define(dataclass)
KINDS = pytest.mark.parametrize("kinds", [OURS, THEIRS], ids=["record", "dataclass"])


@record(frozen=True, slots=True)
class Global:
    """At module level, where pickles find it."""

    a: int
    b: tuple[int, ...] = ()


@KINDS
def test_a_record_is_a_dataclass(kinds):
    point, named, single = kinds
    assert is_dataclass(point)
    assert [one.name for one in fields(named)] == ["x", "y", "tags", "name"]
    assert repr(named(1, name="n")).endswith("Named(x=1, y=2, tags={}, name='n')")
    assert repr(single("v")) == "v"
    assert point(1).moved(4) == point(5)
    assert point(1) != point(2)
    assert point(1) != named(1)
    assert hash(single("v")) == hash(single("v"))
    assert hash(single("v")) == hash(("v",))
    assert point(1).tags is not point(1).tags
    assert not hasattr(point(1), "__dict__")
    assert point.__doc__ == "A point."
    match named(3, 4, {}, "n"):
        case point(x, y):
            assert (x, y) == (3, 4)
    assert list(signature(named).parameters) == ["x", "y", "tags", "name"]


@KINDS
def test_nothing_can_be_changed(kinds):
    one = kinds[0](1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    with pytest.raises((FrozenInstanceError, TypeError)):
        one.z = 2


@KINDS
def test_wrong_arguments_are_told(kinds):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        kinds[0]()
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        kinds[0](1, z=2)


def test_copies_are_equal():
    one = Global(1, (2, 3))
    assert copy.copy(one) == one
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one
