"""Trust policies for witnesses: the quorum of the specification's example, and that nothing else is one."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import pytest

from aegis_audit.errors import MalformedNote
from aegis_audit.note import KeyKind, SigningKey, VerifierKey
from aegis_audit.witness import Group, WitnessPolicy


def _key(number: int, kind: KeyKind = KeyKind.COSIGNATURE) -> VerifierKey:
    return VerifierKey(f"witness.example/{number}", SigningKey("w", bytes([number]) * 32).verifier.public, kind)


LOG: Final = _key(9, KeyKind.ED25519)
X1, X2, X3, Y1, Y2, Y3 = KEYS = [_key(number) for number in range(6)]
NAMES: Final = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
LINES: Final = "".join(f"witness {name} {key}\n" for name, key in zip(NAMES, KEYS, strict=True))
EXAMPLE: Final = f"""\
# the example of c2sp.org/tlog-policy
log {LOG}

{LINES}
\tgroup  X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification_asks_for_two_of_one_side_and_one_of_the_other() -> None:
    policy = WitnessPolicy.parse(EXAMPLE.encode())
    assert policy.logs == (LOG,)
    assert [witness.key for witness in policy.witnesses] == KEYS
    assert policy.groups[-1] == Group("X-and-Y", 2, ("X-witnesses", "Y-witnesses"))
    for count in range(7):
        for signed in combinations(KEYS, count):
            is_enough = len({X1, X2, X3}.intersection(signed)) >= 2 and bool({Y1, Y2, Y3}.intersection(signed))
            assert policy.is_reached(signed) is is_enough


def test_one_witness_is_a_quorum_and_so_is_none_where_the_policy_says_so() -> None:
    url = "http://127.0.0.1:8080/prefix"
    single = WitnessPolicy.parse(f"witness only {X1} {url}\nquorum only\n".encode())
    assert single.witnesses[0].url == url
    assert (single.is_reached([X1]), single.is_reached([X2]), single.is_reached([])) == (True, False, False)
    assert WitnessPolicy.parse(b"quorum none").is_reached([])
    assert WitnessPolicy.parse(f"log {LOG} {url}\nquorum none\n".encode()).logs == (LOG,)


def test_names_are_octets_and_not_text() -> None:
    policy = WitnessPolicy.parse(b"witness K\xff " + str(X1).encode() + b"\nquorum K\xff\n")
    assert policy.is_reached([X1])
    with pytest.raises(MalformedNote, match="no line above defines"):
        WitnessPolicy.parse(f"witness K {X1}\nquorum \u212a\n".encode())


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ("", "there is no quorum line"),
        ("quorum none\nquorum none", "line 2: expected"),
        ("quorum nobody", "line 1: no line above defines 'nobody'"),
        ("group g any w\nwitness w {w}\nquorum g", "line 1: no line above defines 'w'"),
        ("witness w {w}\ngroup g any none\nquorum g", "line 2: no line above defines 'none'"),
        ("witness w {w}\nwitness v {w}\nquorum w", "line 2: .*stands here twice"),
        ("witness w {w}\nwitness w {v}\nquorum w", "line 2: the name 'w' is taken"),
        ("witness none {w}\nquorum none", "line 1: the name 'none' is taken"),
        ("witness w {log}\nquorum w", "line 1: .*type 0x01, expected 0x04"),
        ("log {w}\nquorum none", "line 1: .*type 0x04, expected 0x01"),
        ("log {log}\nlog {log}\nquorum none", "line 2: .*stands here twice"),
        ("witness w {w}\ngroup g 2 w\nquorum g", "line 2: a threshold of '2'"),
        ("witness w {w}\ngroup g 0 w\nquorum g", "line 2: a threshold of '0'"),
        ("witness w {w}\ngroup g 01 w\nquorum g", "line 2: a threshold of '01'"),
        ("witness w {w}\ngroup g any\nquorum g", "line 2: expected"),
        ("witness w {w}\ngroup g all w w\nquorum g", "line 2: 'w' is a member already"),
        ("witness w {w}\ngroup g any w\ngroup h any w\nquorum h", "line 3: 'w' is a member already"),
        ("witness w {w} url more\nquorum w", "line 1: expected"),
        ("log {log} url more\nquorum none", "line 1: expected"),
        ("witness w name+00000000+AAAA\nquorum w", "line 1: key 'name'"),
        ("quorum none\r", "line 1: a control character"),
        ("sigsum 1\nquorum none", "line 1: expected"),
    ],
)
def test_every_other_line_is_refused_with_its_number(lines: str, mistake: str) -> None:
    with pytest.raises(MalformedNote, match=mistake):
        WitnessPolicy.parse(lines.format(w=X1, v=X2, log=LOG).encode())


def test_a_policy_without_end_is_not_read() -> None:
    with pytest.raises(MalformedNote, match="longer than"):
        WitnessPolicy.parse(b"#" * 262_145)
