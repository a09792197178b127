"""Values are what `@dataclass(frozen=True, slots=True)` makes, of classes that share their methods."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from aegis_audit.value import Value, field, replace


class Point(Value):
    """Two numbers; `norm` follows from them."""

    x: int
    y: int
    secret: str = field(repr=False)
    norm: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", abs(self.x) + abs(self.y))


class Pair(Value):
    """The same fields as another class has."""

    x: int
    y: int = 0


class Other(Value):
    """A class with the fields of `Pair`."""

    x: int
    y: int = 0


class Nothing(Value):
    """No fields."""


class Itself(Value, eq=False):
    """Equal to itself alone."""

    x: int


def test_fields_are_given_by_position_by_name_or_by_default() -> None:
    assert (Pair(1, 2), Pair(1), Pair(x=1), Pair(1, y=0)) == (Pair(y=2, x=1), Pair(1, 0), Pair(1, 0), Pair(1, 0))
    assert (Pair(1).x, Pair(1).y) == (1, 0)


def test_a_field_that_is_not_given_is_set_after_the_others() -> None:
    assert Point(-1, 2, "s").norm == 3


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "not given: x"),
        ((), {"y": 1}, "not given: x"),
        ((1, 2, 3), {}, "3 values are given for 2 fields"),
        ((1,), {"x": 1}, "there is no such field, or it is given twice: x"),
        ((1, 2), {"y": 1}, "there is no such field, or it is given twice: y"),
        ((1,), {"z": 1, "a": 1}, "there is no such field, or it is given twice: a, z"),
    ],
)
def test_a_field_is_given_once(values: tuple[int, ...], named: dict[str, int], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        Pair(*values, **named)
    assert str(caught.value) == message


def test_values_of_one_class_are_equal_by_their_fields_and_those_of_two_never() -> None:
    assert Pair(1) == Pair(1)
    assert Pair(1) != Pair(2)
    assert Pair(1) != Other(1)
    assert Nothing() == Nothing()
    assert {Pair(1), Pair(1, 0), Nothing(), Nothing()} == {Pair(1), Nothing()}
    assert Point(1, 0, "a") != Point(1, 0, "b")
    assert Itself(1) != Itself(1)


def test_a_value_cannot_be_changed() -> None:
    pair: Any = Pair(1)
    with pytest.raises(AttributeError, match="Pair is frozen: 'x' cannot be set"):
        pair.x = 2
    with pytest.raises(AttributeError, match="Pair is frozen: 'x' cannot be deleted"):
        del pair.x
    with pytest.raises(AttributeError, match="Pair is frozen: 'z' cannot be set"):
        pair.z = 2
    assert not hasattr(pair, "__dict__")


def test_a_secret_is_not_shown() -> None:
    assert repr(Point(1, 2, "hush")) == "Point(x=1, y=2)"
    assert repr(Nothing()) == "Nothing()"


def test_a_value_is_copied_pickled_and_replaced_whole() -> None:
    point = Point(1, 2, "s")
    for same in (copy.deepcopy(point), pickle.loads(pickle.dumps(point))):  # noqa: S301 - its own bytes
        assert (same, same.norm) == (point, 3)
    assert replace(point, x=5) == Point(5, 2, "s")
    assert replace(point, x=5).norm == 7


def test_a_value_is_matched_by_its_fields() -> None:
    match Pair(1, 2):
        case Pair(x, y):
            assert (x, y) == (1, 2)
