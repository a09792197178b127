"""Frozen values whose classes cost next to nothing to make.

To a reader, to a type checker and to `match`, a class that derives from `Value` is what `@dataclass(frozen=True,
slots=True)` makes of it: its annotations are its fields. But `dataclasses` writes and compiles six functions for each
class at every start; here all classes share theirs (ADR 13). Such a class has no other base, and what a field has by
default is a value that cannot change: all share it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn, TypeVar, dataclass_transform

V = TypeVar("V", bound="Value")


class _Field(NamedTuple):
    init: bool
    repr: bool


def field(*, init: bool = True, repr: bool = True) -> Any:  # noqa: A002 - named as in `dataclasses`
    """Describe a field without a default.

    Without `init` it is set by `__post_init__`, and neither shown nor compared; without `repr` it is not shown.
    """
    return _Field(init, repr and init)


class Form(NamedTuple):
    """What the shared methods know of a class: which fields are given, how each is set, and what the last ones are."""

    names: tuple[str, ...]
    setters: tuple[Callable[[object, object], None], ...]
    defaults: dict[str, object]
    shown: tuple[str, ...]
    compared: Callable[[object], object]

    def arrange(self, values: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
        """Return what each field gets, be it by position, by name or by default.

        Raises:
            TypeError: something is given twice, not at all, or to no field.
        """
        if len(values) > len(self.names):
            raise TypeError(f"{len(values)} values are given for {len(self.names)} fields")
        rest = self.names[len(values) :]
        if odd := named.keys() - {*rest}:
            raise TypeError(f"there is no such field, or it is given twice: {', '.join(sorted(odd))}")
        given = self.defaults | named
        if missing := [name for name in rest if name not in given]:
            raise TypeError(f"not given: {', '.join(missing)}")
        return values + tuple([given[name] for name in rest])


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class ValueType(type):
    """Gives a class its slots and its form; with `eq=False` a value is equal to itself alone."""

    __form__: Form

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, eq: bool = True) -> ValueType:
        """Make the class."""
        slots = tuple(namespace.get("__annotations__", ()))
        stated = {slot: namespace.pop(slot) for slot in slots if slot in namespace}
        fields = {slot: one for slot, one in stated.items() if isinstance(one, _Field)}
        names = tuple(slot for slot in slots if slot not in fields or fields[slot].init)
        namespace |= {"__slots__": slots, "__match_args__": names}
        namespace |= {} if eq else {"__eq__": object.__eq__, "__hash__": object.__hash__}
        made = super().__new__(cls, name, bases, namespace)
        made.__form__ = Form(
            names,
            tuple(made.__dict__[name].__set__ for name in names),
            {slot: value for slot, value in stated.items() if slot not in fields},
            tuple(name for name in names if name not in fields or fields[name].repr),
            attrgetter(*names) if names else type,
        )
        return made


class Value(metaclass=ValueType):
    """The base of frozen values; `__post_init__` checks or completes what was given."""

    def __init__(self, *values: object, **named: object) -> None:
        """Set each field, by position or by name."""
        form = type(self).__form__
        if named or len(values) != len(form.names):
            values = form.arrange(values, named)
        for put, value in zip(form.setters, values, strict=True):
            put(self, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Do nothing more."""

    def __eq__(self, other: object) -> bool:
        compared = type(self).__form__.compared
        return compared(self) == compared(other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(type(self).__form__.compared(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__form__.shown)
        return f"{type(self).__qualname__}({shown})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__qualname__} is frozen: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in type(self).__form__.names)


def replace(value: V, **changes: object) -> V:
    """Return the same value but for these fields."""
    return type(value)(**{name: getattr(value, name) for name in type(value).__form__.names} | changes)
