"""The Merkle tree, held to the published vectors of RFC 6962 and to a second, recursive reading of its definitions."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.errors import Unprovable
from aegis_audit.tree import (
    EMPTY,
    CompactRange,
    GrowingRange,
    consistency_proof,
    extension_proof,
    inclusion_proof,
    is_consistent,
    is_included,
)
from support.house import ROOT

# The test leaves of the reference implementation of RFC 6962 (google/certificate-transparency), and its tree heads.
RFC_6962_DATA: Final = tuple(
    map(
        bytes.fromhex,
        ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
)
RFC_6962_ROOTS: Final = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
RFC_6962_LEAVES: Final = tuple(hashlib.sha256(b"\0" + data).digest() for data in RFC_6962_DATA)

leaves = st.integers(0, 70).map(lambda count: [hashlib.sha256(bytes([n])).digest() for n in range(count)])


def head(tree: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not tree:
        return hashlib.sha256(b"").digest()
    if len(tree) == 1:
        return tree[0]
    k = largest_power_below(len(tree))
    return hashlib.sha256(b"\1" + head(tree[:k]) + head(tree[k:])).digest()


def path(m: int, tree: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(tree) == 1:
        return []
    k = largest_power_below(len(tree))
    return [*path(m, tree[:k]), head(tree[k:])] if m < k else [*path(m - k, tree[k:]), head(tree[:k])]


def subproof(m: int, tree: list[bytes], *, b: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if m == len(tree):
        return [] if b else [head(tree)]
    k = largest_power_below(len(tree))
    if m <= k:
        return [*subproof(m, tree[:k], b=b), head(tree[k:])]
    return [*subproof(m - k, tree[k:], b=False), head(tree[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_those_of_rfc_6962(size: int) -> None:
    tree = EMPTY.extend(RFC_6962_LEAVES[:size])
    assert (tree.start, tree.size, tree.root().hex()) == (0, size, RFC_6962_ROOTS[size])


# A published proof each: leaf 1 of 1, 1 of 8, 6 of 8, 3 of 3 and 2 of 5, numbered from 1; and trees of 1, 6 and 2 in
# trees of 8, 8 and 5.
INCLUSION: Final = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY: Final = {
    (1, 1): (),
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_inclusion_proofs_are_those_of_rfc_6962(index: int, size: int) -> None:
    proof = inclusion_proof(RFC_6962_LEAVES, index, size)
    assert tuple(node.hex() for node in proof) == INCLUSION[index, size]
    assert is_included(RFC_6962_LEAVES[index], index, size, proof, bytes.fromhex(RFC_6962_ROOTS[size]))


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_consistency_proofs_are_those_of_rfc_6962(old: int, new: int) -> None:
    proof = consistency_proof(RFC_6962_LEAVES, old, new)
    assert tuple(node.hex() for node in proof) == CONSISTENCY[old, new]
    old_root, new_root = bytes.fromhex(RFC_6962_ROOTS[old]), bytes.fromhex(RFC_6962_ROOTS[new])
    assert is_consistent(old, old_root, new, new_root, proof)


def test_the_tree_of_the_vectors_is_over_their_entry_hashes() -> None:
    vectors = ROOT / "tests" / "vectors"
    expected = json.loads((vectors / "roots-v1.json").read_text(encoding="utf-8"))["roots_hex_by_size"]
    lines = (vectors / "chain-v1.jsonl").read_bytes().splitlines()
    hashes = [bytes.fromhex(json.loads(line)["entry_hash"]) for line in lines]
    assert [EMPTY.extend(hashes[:size]).root().hex() for size in range(len(hashes) + 1)] == expected


@given(leaves)
def test_one_by_one_and_in_rows_make_the_tree_of_the_definition(tree: list[bytes]) -> None:
    single = EMPTY
    for leaf in tree:
        single = single.append(leaf)
    assert single == EMPTY.extend(tree)
    assert single.root() == head(tree)


@given(leaves, st.data())
def test_ranges_join_to_the_tree_however_they_are_cut(tree: list[bytes], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tree)), max_size=6)))
    joined, rest = EMPTY, iter(tree)
    for start, end in zip([0, *cuts], [*cuts, len(tree)], strict=True):
        part = list(islice(rest, end - start))
        right = CompactRange(start, (), start)
        for leaf in part:
            right = right.append(leaf)
        assert right == CompactRange(start, (), start).extend(part)
        joined = joined.join(right)
    assert joined == EMPTY.extend(tree)


@given(leaves, st.data())
def test_two_ranges_within_a_log_join_to_one(tree: list[bytes], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(tree)))
    middle = data.draw(st.integers(start, len(tree)))
    left, right = CompactRange(start, (), start), CompactRange(middle, (), middle)
    joined = left.extend(tree[start:middle]).join(right.extend(tree[middle:]))
    assert joined == left.extend(tree[start:])


@given(st.lists(st.integers(0, 1500), max_size=5), st.sampled_from([0, 1, 6]))
def test_a_range_that_grows_is_the_range_of_all_its_leaves(steps: list[int], start: int) -> None:
    grown, tree = GrowingRange(CompactRange(start, (), start)), list[bytes]()
    for step in steps:
        more = [hashlib.sha256(b"%d" % (len(tree) + n)).digest() for n in range(step)]
        grown.extend(more)
        tree += more
        assert (grown.start, grown.size) == (start, start + len(tree))
    expected = CompactRange(start, (), start).extend(tree)
    assert grown == GrowingRange(expected)
    assert grown.compact() == expected


def test_a_range_that_grows_is_equal_to_no_other_range_and_to_nothing_else() -> None:
    grown = GrowingRange(EMPTY.extend(RFC_6962_LEAVES))
    others = (GrowingRange(EMPTY), GrowingRange(EMPTY.extend(RFC_6962_LEAVES[:7])), EMPTY.extend(RFC_6962_LEAVES), None)
    assert [grown == other for other in (grown, *others)] == [True, False, False, False, False]
    with pytest.raises(TypeError, match="has no hash"):
        hash(grown)


@pytest.mark.parametrize("start", range(9))
def test_a_range_within_a_log_grows_leaf_by_leaf_as_it_does_at_once(start: int) -> None:
    single = begun = CompactRange(start, (), start)
    for leaf in RFC_6962_LEAVES:
        single = single.append(leaf)
    assert single == begun.extend(RFC_6962_LEAVES)
    assert EMPTY.extend(RFC_6962_LEAVES[:start]).join(single) == EMPTY.extend(
        (*RFC_6962_LEAVES[:start], *RFC_6962_LEAVES)
    )


def test_a_range_joins_only_where_it_ends() -> None:
    with pytest.raises(ValueError, match="a range from 2, not from 3"):
        EMPTY.extend(RFC_6962_LEAVES[:2]).join(CompactRange(3, (), 3))


def test_the_rows_of_a_long_run_follow_each_other() -> None:
    tree = [hashlib.sha256(n.to_bytes(4)).digest() for n in range(10_001)]
    assert EMPTY.extend(iter(tree)).root() == head(tree)


@given(leaves)
def test_a_compact_range_reads_back_from_its_bytes(tree: list[bytes]) -> None:
    compact = EMPTY.extend(tree)
    assert CompactRange.decode(compact.size, compact.encode()) == compact
    assert len(compact.encode()) == 32 * len(tree).bit_count()


@pytest.mark.parametrize(("size", "length"), [(-1, 32), (0, 32), (1, 0), (1, 31), (1, 64), (3, 32), (4, 33)])
def test_bytes_that_do_not_fit_the_size_are_refused(size: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes for a tree of {size} leaves"):
        CompactRange.decode(size, bytes(length))


def test_the_hashes_of_a_tree_never_exceed_64() -> None:
    assert len(CompactRange.decode(2**64 - 1, bytes(64 * 32)).encode()) == 64 * 32


@given(leaves.filter(bool), st.data())
def test_every_inclusion_proof_is_that_of_the_definition(tree: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(tree) - 1))
    proof = inclusion_proof(iter([*tree, b"more"]), index, len(tree))
    assert list(proof) == path(index, tree)
    assert is_included(tree[index], index, len(tree), proof, head(tree))


@given(leaves.filter(bool), st.data())
def test_every_consistency_proof_is_that_of_the_definition(tree: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(tree)))
    proof = consistency_proof(iter([*tree, b"more"]), old, len(tree))
    assert list(proof) == subproof(old, tree, b=True)
    assert is_consistent(old, head(tree[:old]), len(tree), head(tree), proof)


@pytest.mark.parametrize("size", range(1, 9))
def test_an_inclusion_proof_shows_nothing_but_its_own_leaf_in_its_own_tree(size: int) -> None:
    """Everything that is near a true statement, exhaustively: another leaf, place, size, root, and a changed proof."""
    tree = list(RFC_6962_LEAVES[:size])
    for index in range(size):
        proof = inclusion_proof(tree, index, size)
        claims = {
            (leaf, place, of)
            for leaf in (*tree, head(tree))
            for place in range(-1, size + 2)
            for of in (size,)
            if is_included(leaf, place, of, proof, head(tree))
        }
        assert claims == {(tree[index], index, size)}
        for changed in _changed(proof):
            assert not is_included(tree[index], index, size, changed, head(tree))


@pytest.mark.parametrize("new", range(2, 9))
def test_a_consistency_proof_shows_nothing_but_its_own_two_trees(new: int) -> None:
    tree = list(RFC_6962_LEAVES[:new])
    heads = [head(tree[:size]) for size in range(new + 1)]
    for old in range(1, new):
        proof = consistency_proof(tree, old, new)
        claims = {
            (a, b) for a in range(new + 1) for b in range(new + 1) if is_consistent(old, heads[a], new, heads[b], proof)
        }
        assert claims == {(old, new)}
        for changed in ((), *_changed(proof)):
            assert is_consistent(old, heads[old], new, heads[new], changed) is (changed == proof)


def _changed(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    longer = [(*proof, bytes(32)), (bytes(32), *proof), (*proof, *[bytes(32)] * 65)]
    shorter = [proof[1:], proof[:-1]] if proof else []
    flipped = [(*proof[:n], bytes([node[0] ^ 1]) + node[1:], *proof[n + 1 :]) for n, node in enumerate(proof)]
    cut = [(*proof[:n], node[:-1], *proof[n + 1 :]) for n, node in enumerate(proof)]
    return longer + shorter + flipped + cut


def test_every_tree_extends_the_empty_one_and_itself_without_a_proof() -> None:
    root, empty = head(list(RFC_6962_LEAVES)), hashlib.sha256().digest()
    assert is_consistent(0, empty, 8, root, ())
    assert is_consistent(8, root, 8, root, ())
    assert not is_consistent(0, root, 8, root, ())
    assert not is_consistent(0, empty, 8, root, (root,))
    assert not is_consistent(8, empty, 8, root, ())
    assert not is_consistent(8, root, 8, root, (root,))
    assert not is_consistent(9, root, 8, root, ())


def test_nothing_is_shown_by_what_is_too_long_or_too_short_for_a_proof_or_by_trees_that_shrink() -> None:
    leaf = RFC_6962_LEAVES[0]
    for odd in (b"", b"x" * 31, b"x" * 33, b"x" * 64):
        root = hashlib.sha256(b"\1" + leaf + odd).digest()
        assert not is_included(leaf, 0, 2, (odd,), root)
        assert not is_consistent(1, leaf, 2, root, (odd,))
    roots = [leaf]
    while len(roots) <= 65:
        roots.append(hashlib.sha256(b"\1" + roots[-1] + leaf).digest())
    for length, expected in ((64, True), (65, False)):
        assert is_included(leaf, 0, 2**length, (leaf,) * length, roots[length]) is expected
        assert is_consistent(1, leaf, 2**length, roots[length], (leaf,) * length) is expected
    for size in range(3, 9):
        assert not is_included(leaf, 0, size, (leaf,), roots[1])
        assert not is_consistent(1, leaf, size, roots[1], (leaf,))
    assert not is_consistent(2, leaf, 1, leaf, ())
    assert not is_consistent(-1, leaf, 1, leaf, (leaf,))
    assert not is_consistent(-2, leaf, -1, leaf, ())


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 9), (8, 9), (2, 100)])
def test_no_inclusion_proof_is_made_from_entries_that_are_not_there(index: int, size: int) -> None:
    with pytest.raises(Unprovable):
        inclusion_proof(RFC_6962_LEAVES, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 3), (3, 9), (9, 9)])
def test_no_consistency_proof_is_made_from_entries_that_are_not_there(old: int, new: int) -> None:
    with pytest.raises(Unprovable):
        consistency_proof(RFC_6962_LEAVES, old, new)


def test_a_proof_from_the_old_tree_and_what_came_after_is_the_same_as_from_all_leaves() -> None:
    leaves = [bytes([number]) * 32 for number in range(40)]
    for new in range(1, 41):
        for old in range(1, new + 1):
            proof, grown = extension_proof(EMPTY.extend(leaves[:old]), iter(leaves[old:]), new)
            assert proof == consistency_proof(leaves, old, new)
            assert grown == EMPTY.extend(leaves[:new])
            assert is_consistent(old, EMPTY.extend(leaves[:old]).root(), new, grown.root(), proof)
            assert is_included(leaves[old - 1], old - 1, new, inclusion_proof(leaves, old - 1, new), grown.root())
    with pytest.raises(Unprovable, match="needs them all, and there are 39"):
        extension_proof(EMPTY.extend(leaves[:7]), leaves[7:39], 40)
