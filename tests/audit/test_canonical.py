"""Two encoders write one form, and what that form is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit import canonical
from aegis_audit.errors import UnencodableValue

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integers = st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not 2**53 <= abs(value) < 1e21)
leaves = st.none() | st.booleans() | integers | floats | text
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)


@given(values)
def test_every_value_is_encoded_as_rfc_8785_has_it(value: Any) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(st.characters(max_codepoint=127)), values), st.data())
def test_a_template_that_is_filled_is_the_whole_object(whole: dict[str, Any], data: st.DataObject) -> None:
    holes = [name for name in sorted(whole) if data.draw(st.booleans())]
    known = {name: value for name, value in whole.items() if name not in holes}
    template = canonical.Template(known, holes)
    assert template.fill(*(canonical.encode(whole[name]) for name in holes)) == canonical.encode(whole)


@given(values, st.integers(0, 40))
def test_a_small_value_is_encoded_like_every_other_or_not_at_all(value: Any, most: int) -> None:
    encoded = canonical.encode_small(value, most, canonical.MAX_NESTING)
    assert encoded is None or (encoded == canonical.encode(value) and len(encoded) <= most)


@pytest.mark.parametrize(("text", "nesting"), [("[[[]]]", 3), ('{"a":[{}]}', 3), ("{}", 1), ("1", 0)])
def test_a_small_value_nests_at_most_as_deep_as_is_asked(text: str, nesting: int) -> None:
    value = orjson.loads(text)
    assert canonical.encode_small(value, 40, nesting) == canonical.encode(value)
    assert nesting == 0 or canonical.encode_small(value, 40, nesting - 1) is None


@given(values)
def test_a_plain_value_is_one_that_orjson_writes_in_canonical_form(value: Any) -> None:
    if canonical.is_plain(value):
        assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2.0**53,
        [-1e20],
        2**53,
        -(2**53),
        10**5000,
        "\ud800",
        {"\udfff": 1},
        [[["\ud800", 0.5]]],
    ],
    ids=range(10),
)
def test_a_value_without_a_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(UnencodableValue):
        canonical.encode(value)


def test_a_float_is_written_as_an_integer_up_to_the_widest_one_that_every_reader_keeps() -> None:
    assert canonical.encode([2.0**53 - 1, 1 - 2.0**53]) == b"[9007199254740991,-9007199254740991]"


def nested(levels: int, leaf: object = 1) -> object:
    value = leaf
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("leaf", [1, 0.5, {"é": 1}])
def test_nesting_is_bounded_whatever_is_inside(leaf: object) -> None:
    extra = int(isinstance(leaf, dict))
    assert canonical.encode(nested(32 - extra, leaf))
    for levels in (33 - extra, 100_000):
        with pytest.raises(UnencodableValue):
            canonical.encode(nested(levels, leaf))


def test_the_vectors_are_in_canonical_form() -> None:
    lines = (Path(__file__).parents[1] / "vectors" / "chain-v1.jsonl").read_bytes().splitlines()
    assert [canonical.encode(orjson.loads(line)) for line in lines] == lines
