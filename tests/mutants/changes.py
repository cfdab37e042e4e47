"""Every change of an operator or a number of a file, and a draw of them."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = Path("src/earwitness")
PARTS = {
    "losses": ["losses/*.py"],
    "decoding": ["decoding/*.py"],
    "training": ["training/**/*.py"],
    "scenes": ["scenes/**/*.py"],
    "metrics": [f"metrics/{name}.py" for name in ("bleu", "cider_d", "rouge_l", "spider*", "fer", "fense")]
    + [f"metrics/{name}.py" for name in ("comparison", "corpus", "diversity", "evaluation", "tokenizer")]
    + ["metrics/meteor/*.py"],
}
GUARD = 1e-5  # smaller numbers guard against a division by zero; their size does not matter
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
COMPARISONS = {ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq}
COMPARISONS |= {ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
NAMES = {"min": "max", "amin": "amax", "argmin": "argmax", "minimum": "maximum"}
NAMES |= {new: old for old, new in NAMES.items()}
QUIET = {"warning", "info", "debug", "print", "getLogger", "lru_cache", "cache"}  # calls that compute nothing
MODULE = "<module>"


@dataclass(frozen=True)
class Mutant:
    """One changed expression of one file."""

    file: str  # below the root
    function: str  # qualified name of the outermost one, MODULE outside of functions
    line: int
    old: str
    new: str
    source: bytes  # of the whole file

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old}  ->  {self.new}"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place: another operator, the first term alone, another number."""
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield with_field(node, op=OPERATORS[type(node.op)]())
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            yield node.left
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield with_field(node, ops=[COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        yield with_field(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield with_field(node, id=NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield with_field(node, attr=NAMES[node.attr])
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield ast.Constant(not value)
        elif isinstance(value, int):
            yield ast.Constant(value + 1)
        elif isinstance(value, float) and (value == 0 or abs(value) > GUARD):
            yield ast.Constant(value * 1.5 if value else 1.0)


def with_field(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Those that compute: no annotations, messages, errors, decorators, imports for type checkers."""
    called = getattr(node, "func", None)
    quiet = getattr(called, "attr", getattr(called, "id", "")) in QUIET
    if quiet or isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            formal = isinstance(child, ast.keyword) and child.arg in ("strict", "exist_ok", "encoding")
            if isinstance(child, ast.AST) and not typing and not formal:
                yield child


def mutants(file: Path) -> list[Mutant]:
    """Every mutant of a file."""
    source = file.read_bytes()
    starts = [0]
    for row in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found = []

    def walk(node: ast.AST, scope: str, function: str) -> None:
        for new in changes(node):
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            text = ast.unparse(new)
            text = f"({text})" if isinstance(new, ast.expr) and not isinstance(new, ast.Constant) else text
            whole = source[:begin] + text.encode() + source[end:]
            path = str(file.relative_to(ROOT))
            found.append(Mutant(path, function or MODULE, node.lineno, ast.unparse(node), text, whole))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}".lstrip(".")
        for child in children(node):
            body = isinstance(node, ast.FunctionDef) and child in node.body  # defaults are of the scope
            walk(child, scope, function or (scope if body else ""))

    walk(ast.parse(source), "", "")
    return sorted(found, key=lambda m: (m.line, m.old, m.new))


def draw(count: int, seed: int) -> list[Mutant]:
    """As many of each part, without repeats."""
    chosen: list[Mutant] = []
    for patterns in PARTS.values():
        files = sorted({f for pattern in patterns for f in (ROOT / PACKAGE).glob(pattern)})
        every = [mutant for file in files for mutant in mutants(file)]
        chosen += random.Random(seed).sample(every, count // len(PARTS))
    return chosen
