"""Mutants: one module of the verifier with one thing in it changed.

What is changed are comparisons, conditions, numbers and statements: all that decides whether a finding is made, is
counted and reaches the exit status. Texts are left alone, because no verdict hangs on them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple, cast

_OTHER_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OTHER_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_OTHER_FUNCTIONS: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}


class Key(NamedTuple):
    """What a mutant is called: the module, the function or "" outside of one, and the code before and after.

    It is the one with this number, from 1 on, of those for which all that is the same.
    """

    module: str
    function: str
    before: str
    after: str
    number: int

    def __str__(self) -> str:
        number = f" ({self.number})" if self.number > 1 else ""
        return f"{self.module}: {self.function or '(outside of functions)'}: {self.before}  →  {self.after}{number}"


class _Function(NamedTuple):
    """A function or a method, and its lines, decorators included."""

    name: str
    lines: range


_OUTSIDE: Final = _Function("", range(0))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module that is changed in one place: its change with this `number`.

    No test notices it that runs none of `lines`, which are those of the statement. `function` are all lines of the
    function; outside of one there are none, and `constant` is what the module calls the value.
    """

    key: Key
    path: Path
    number: int
    lines: range
    function: range
    constant: str | None

    @property
    def line(self) -> int:
        """Return the first of the lines."""
        return self.lines.start

    def code(self) -> CodeType:
        """Return the code of the whole module."""
        tree = ast.parse(self.path.read_bytes())
        spot, _, after = next(islice(_changes(tree), self.number, None))
        spot.put(after)
        return compile(ast.fix_missing_locations(tree), str(self.path), "exec", dont_inherit=True)


def mutants(package: Path, module: str) -> Iterator[Mutant]:
    """Yield all mutants of a module, which is named by its dotted name in the package."""
    path = package.joinpath(*module.split(".")).with_suffix(".py")
    known: Counter[tuple[str, str, str]] = Counter()
    tree = ast.parse(path.read_bytes())
    for number, (spot, before, after) in enumerate(_changes(tree)):
        name = spot.function.name, _text(before), _text(after)
        known[name] += 1
        constant = constant_in(spot.statement) if spot.statement in tree.body else None
        yield Mutant(Key(module, *name, known[name]), path, number, _lines(spot), spot.function.lines, constant)


def _changes(tree: ast.AST) -> Iterator[tuple[_Spot, ast.AST, ast.AST]]:
    """Yield each change of a tree: where, what stands there, and what is put there instead."""
    for spot in _spots(tree, (), _OUTSIDE, ast.Pass()):
        for after in _changed(spot.node, is_outside=spot.function is _OUTSIDE):
            yield spot, spot.node, ast.copy_location(after, spot.node)


class _Spot(NamedTuple):
    """A node, and where it hangs."""

    node: ast.AST
    parent: ast.AST
    field: str
    at: int | None
    function: _Function
    statement: ast.stmt

    def put(self, node: ast.AST) -> None:
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node


def _spots(node: ast.AST, names: tuple[str, ...], function: _Function, statement: ast.stmt) -> Iterator[_Spot]:
    """Yield every node below one; annotations, decorators and what only makes a text are left out."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        children: list[tuple[int | None, object]] = [(None, value)]
        if isinstance(value, list):
            children = list(enumerate(cast("list[object]", value)))
        for at, child in children:
            if not isinstance(child, ast.AST) or _is_text(child):
                continue
            inner = function
            # The defaults of a function are made once, outside of it.
            if function is _OUTSIDE and isinstance(node, ast.FunctionDef) and field == "body":
                first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
                inner = _Function(".".join((*names, node.name)), range(first, _end(node)))
            below = (*names, node.name) if isinstance(node, ast.ClassDef) else names
            around = child if isinstance(child, ast.stmt) else statement
            yield _Spot(child, node, field, at, inner, around)
            yield from _spots(child, below, inner, around)


def _lines(spot: _Spot) -> range:
    """Return the lines of a statement, of one with others in it those before the first of them."""
    match spot.node:
        case ast.match_case(pattern=pattern, guard=guard):
            return range(pattern.lineno, _end(guard or pattern))
        case ast.comprehension(target=target):
            own = target.lineno
        case node:
            own = getattr(node, "lineno", spot.statement.lineno)
    statement: Any = spot.statement
    inner: list[Any] = getattr(statement, "body", None) or [one.pattern for one in getattr(statement, "cases", ())]
    if not inner:
        return range(statement.lineno, _end(statement))
    head = range(statement.lineno, max(inner[0].lineno, statement.lineno + 1))
    return head if own in head else range(own, own + 1)


def _end(node: ast.AST) -> int:
    """Return the line behind a node."""
    return (getattr(node, "end_lineno", None) or 0) + 1


def constant_in(statement: ast.stmt) -> str | None:
    """Return the name that a statement gives a value."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return None


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Constant(value=str() | bytes()) | ast.Expr(value=ast.Constant()):
            return True
        case ast.Subscript(value=value, slice=ast.Slice()):
            # A text for a person that is cut to a length.
            return _is_text(value) or (isinstance(value, ast.Call) and ast.unparse(value.func) in {"repr", "str"})
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) and _is_text(orelse)
        case ast.Assign(value=value):
            return _is_text(value)
        case _:
            return False


def _changed(node: ast.AST, *, is_outside: bool) -> Iterator[ast.AST]:
    """Yield what a node is changed into; outside of functions no statement is left out, or nothing could be loaded."""
    match node:
        case ast.stmt():
            yield from _other_statements(node, is_outside=is_outside)
        case ast.expr():
            yield from _other_values(node)
            yield from _other_conditions(node)
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.match_case(pattern=ast.MatchAs(pattern=None)):
            pass  # without its guard it would take every case after it, which cannot be compiled
        case ast.match_case(guard=ast.expr()):
            yield ast.match_case(node.pattern, None, node.body)
        case _:
            pass


def _other_statements(node: ast.stmt, *, is_outside: bool) -> Iterator[ast.AST]:
    match node:
        case ast.If() if _wants_negation(node.test):
            yield ast.If(_not(node.test), node.body, node.orelse)
        case ast.While() if _wants_negation(node.test):
            yield ast.While(_not(node.test), node.body, node.orelse)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case _ if not is_outside and _can_be_left_out(node):
            # Not removed: a function whose only `yield` is gone would no longer be a generator.
            yield ast.If(ast.Constant(False), [node], [])
        case _:
            pass


def _other_conditions(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            for at, op in enumerate(node.ops):
                for other in _OTHER_COMPARISONS[type(op)]:
                    yield ast.Compare(node.left, [*node.ops[:at], other(), *node.ops[at + 1 :]], node.comparators)
        case ast.BoolOp():
            for at in range(len(node.values)):
                rest = node.values[:at] + node.values[at + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.IfExp() if _wants_negation(node.test):
            yield ast.IfExp(_not(node.test), node.body, node.orelse)
        case _:
            pass


def _other_values(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() as number):
            yield ast.Constant(number + 1)
            yield ast.Constant(number - 1)
        case ast.BinOp() if type(node.op) in _OTHER_OPERATORS:
            yield ast.BinOp(node.left, _OTHER_OPERATORS[type(node.op)](), node.right)
        case ast.Call(func=ast.Name(id=name)) if name in _OTHER_FUNCTIONS:
            yield ast.Call(ast.Name(_OTHER_FUNCTIONS[name], ast.Load()), node.args, node.keywords)
        case ast.Attribute(value=ast.Name(id="Verdict"), attr=attr) if attr != "VALID":
            yield ast.Attribute(node.value, "VALID", ast.Load())
        case ast.Set():
            yield ast.Call(ast.Name("set", ast.Load()), [], [])
        case ast.Dict(keys=[_, *_]):
            yield ast.Dict([], [])
        case _:
            pass


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _wants_negation(test: ast.expr) -> bool:
    """Tell whether no other mutant is the negation."""
    return not (isinstance(test, ast.Compare) and len(test.ops) == 1) and not isinstance(test, ast.UnaryOp)


def _can_be_left_out(node: ast.stmt) -> bool:
    match node:
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.Assign(targets=targets):
            return all(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
        case _:
            return False


def _text(node: ast.AST) -> str:
    """Return a node in one line; of a statement with others in it the first line."""
    match node:
        case ast.comprehension():
            return ast.unparse(node).strip()
        case ast.match_case():
            guard = f" if {ast.unparse(node.guard)}" if node.guard else ""
            return f"case {ast.unparse(node.pattern)}{guard}"
        case ast.If(test=ast.Constant(value=False)):
            return "left out"
        case ast.Return(value=None):
            return "return None"
        case _:
            return ast.unparse(node).partition("\n")[0]
