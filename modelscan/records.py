"""Frozen dataclasses that are quick to define and to make: the vocabulary has dozens, and a command line pays for each at every start.

`dataclasses` compiles six methods for each class (CPython 3.11, `_process_class`): a fifth of what `inspect` took on a small model. Here
one is compiled, `__init__`; the others are written once and work on any record. To type checkers a record is a dataclass, and it is one to
`dataclasses.fields` and `dataclasses.replace`.

While an object is filled, its fields can be set like those of any object; its last step makes it one of a subclass that refuses. A frozen
dataclass calls `object.__setattr__` for each field instead, and takes more than twice as long; a large model makes a million objects.
A subclass of a record must be a record itself.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

__all__ = ["kind_of", "record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen, slots):
        """As `dataclasses.dataclass(frozen=True, slots=True)`; of the options of a field only its default or the factory of it."""
        assert frozen  # noqa: S101 - said at each class for its reader; there are no other records
        assert slots  # noqa: S101
        return _made


@dataclasses.dataclass(frozen=True)
class _Model:
    """A dataclass whose marks the records copy."""

    field: int


_FIELD = dataclasses.fields(_Model)[0]._field_type  # type: ignore[attr-defined]  # what `fields` and `replace` go by
_MISSING: Any = dataclasses.MISSING


def _made(plain: type) -> type:
    names = dict(vars(plain))
    own = [name for name, annotation in names.get("__annotations__", {}).items() if not str(annotation).startswith("ClassVar")]
    fields: dict[str, Any] = {}
    for base in reversed(plain.__mro__[1:]):
        fields.update(getattr(base, "__dataclass_fields__", {}))
    slots = tuple(name for name in own if name not in fields)
    fields.update((name, _field(name, names.pop(name, _MISSING), names["__annotations__"][name])) for name in own)
    names.pop("__dict__", None)
    names.pop("__weakref__", None)
    scope: dict[str, Any] = {}
    common = {
        "__qualname__": plain.__qualname__,
        "__slots__": slots,
        "__match_args__": tuple(fields),
        "__dataclass_fields__": fields,
        "__dataclass_params__": vars(_Model)["__dataclass_params__"],
        "__init__": _init(plain, fields, scope),
        "_values": staticmethod(attrgetter(*fields)) if len(fields) > 1 else staticmethod(_tuple_of(*fields)),
    }
    made = type(plain)(plain.__name__, plain.__bases__, {**_SHARED, **names, **common})
    scope["_frozen"] = _frozen(made)
    return made


def _frozen(made: type) -> type:
    """The subclass that a record's objects belong to once they are filled."""
    told = {name: getattr(made, name) for name in ("__module__", "__qualname__", "__doc__")}
    anew = staticmethod(lambda _, *values, **named: made(*values, **named))  # `dataclasses.replace` calls an object's own class
    return type(made)(made.__name__, (made,), {"__slots__": (), "__new__": anew, **_REFUSING, **told})


def kind_of(one: Any) -> type[Any]:
    """The record that an object is one of: its own class is the one that refuses to be changed."""
    kind: Any = type(one).__base__
    return cast("type[Any]", kind)


def _field(name: str, default: Any, annotation: Any) -> Any:
    one: Any = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
    one.name, one.type, one._field_type = name, annotation, _FIELD
    return one


def _tuple_of(*names: str) -> Any:
    """`attrgetter` gives no tuple of one."""
    return lambda record: tuple(getattr(record, name) for name in names)


def _init(plain: type, fields: dict[str, Any], scope: dict[str, Any]) -> Any:
    """The one method that is worth compiling: it runs for every object, with names and defaults of its own. `scope` is its globals."""
    scope["_missing"] = _MISSING
    parameters, lines = ["_self"], []
    for name, one in fields.items():
        value, default = name, ""
        if one.default is not _MISSING:
            scope[f"_of_{name}"], default = one.default, f"=_of_{name}"
        elif one.default_factory is not _MISSING:
            scope[f"_of_{name}"], default = one.default_factory, "=_missing"
            value = f"_of_{name}() if {name} is _missing else {name}"
        parameters.append(name + default)
        lines.append(f"    _self.{name} = {value}\n")
    code = f"def __init__({', '.join(parameters)}):\n{''.join(lines)}    _self.__class__ = _frozen"
    exec(code, scope)  # noqa: S102 - identifiers of our own classes
    made = scope["__init__"]
    made.__qualname__ = f"{plain.__qualname__}.__init__"
    made.__annotations__ = {**{name: one.type for name, one in fields.items()}, "return": None}
    return made


def _eq(self: Any, other: Any) -> Any:
    return self._values(self) == self._values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _repr(self: Any) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self._values(self), strict=True))
    return f"{type(self).__qualname__}({values})"


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _filled(self: Any, *_: object, **__: object) -> None:
    """The record's own `__init__` did it."""


def _reduce(self: Any) -> tuple[Any, tuple[Any, ...]]:
    """How it is pickled and copied: made anew of its values."""
    return type(self).__base__, tuple(self._values(self))


_SHARED = {"__eq__": _eq, "__hash__": _hash, "__repr__": _repr, "__reduce__": _reduce}
_REFUSING = {"__init__": _filled, "__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
