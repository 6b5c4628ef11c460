"""The mutants of a module: each possible small change, and where it is."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

INVERTED = {
    ast.Lt: ("<", ">="),
    ast.GtE: (">=", "<"),
    ast.Gt: (">", "<="),
    ast.LtE: ("<=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
# Between two operands there are only parentheses, comments and the operator.
OPERATOR = re.compile(rb"#[^\n]*|[<>]=?|[!=]=|\b(?:not\s+in|is\s+not|in|is|and|or)\b")
MODULE = 0  # stands for code that runs at import: no function begins at line 0

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: ``text`` replaces the bytes from ``begin`` to ``end``."""

    file: str
    kind: str
    begin: int
    end: int
    text: str
    function: int  # the line at which its function begins, decorators included; or MODULE

    def line(self, source: bytes) -> int:
        """The line number at which the change begins."""
        return source.count(b"\n", 0, self.begin) + 1

    def apply(self, source: bytes) -> bytes:
        """The file's bytes with the change."""
        return source[: self.begin] + self.text.encode() + source[self.end :]

    def compiles(self, source: bytes) -> bool:
        """Whether the changed file is valid Python."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as `is` beside a number
            try:
                compile(self.apply(source), self.file, "exec")
            except SyntaxError:
                return False
        return True

    def diff(self, source: bytes) -> list[str]:
        """The changed lines, as in a diff."""
        begin = source.rfind(b"\n", 0, self.begin) + 1
        end = (source + b"\n").index(b"\n", self.end)
        before = source[begin:end].decode().splitlines()
        changed = source[begin : self.begin] + self.text.encode() + source[self.end : end]
        return [f"- {line}" for line in before] + [f"+ {changed.decode()}"]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All mutants of a file, sorted by place."""
    return sorted(_Places(file, source).all(), key=lambda mutant: (mutant.begin, mutant.end))


class _Places:
    def __init__(self, file: str, source: bytes) -> None:
        self._file = file
        self._source = source
        lengths = [len(line) for line in source.splitlines(keepends=True)]
        self._line_begins = [sum(lengths[:n]) for n in range(len(lengths))]

    def all(self) -> Iterator[Mutant]:
        return self._inside(ast.parse(self._source), MODULE)

    def _inside(self, node: ast.AST, function: int) -> Iterator[Mutant]:
        """The mutants of a node and its descendants; ``function`` is the one that runs them."""
        yield from self._at(node, function)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns") or (_is_type_checking(node) and name == "body"):
                continue
            begins = function
            if isinstance(node, _Function) and name == "body":
                begins = min(n.lineno for n in (node, *node.decorator_list))
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                    yield from self._inside(child, begins)

    def _at(self, node: ast.AST, function: int) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for operator, left, right in zip(
                    node.ops, operands[:-1], operands[1:], strict=True
                ):
                    yield self._inverted("comparison inverted", operator, left, right, function)
            case ast.BoolOp():
                for left, right in zip(node.values[:-1], node.values[1:], strict=True):
                    yield self._inverted("and/or swapped", node.op, left, right, function)
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                begin, end = self._span(node)
                yield self._mutant("number increased", begin, end, repr(number + 1), function)
            case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
                yield self._mutant("call removed", *self._span(node), "pass", function)

    def _inverted(
        self, kind: str, operator: ast.AST, left: ast.expr, right: ast.expr, function: int
    ) -> Mutant:
        gap = self._span(left)[1], self._span(right)[0]
        found = next(m for m in OPERATOR.finditer(self._source, *gap) if m[0][:1] != b"#")
        expected, text = INVERTED[type(operator)]
        assert found[0].decode().split() == expected.split(), (self._file, found)
        return self._mutant(kind, *found.span(), text, function)

    def _mutant(self, kind: str, begin: int, end: int, text: str, function: int) -> Mutant:
        return Mutant(self._file, kind, begin, end, text, function)

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._line_begins[node.lineno - 1] + node.col_offset,
            self._line_begins[node.end_lineno - 1] + node.end_col_offset,
        )


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
