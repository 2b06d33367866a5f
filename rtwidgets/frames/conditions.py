"""Conditions on rows, written as text.

The language is a small part of Python's expressions: columns, numbers, text in quotes, comparisons (also
chained), ``and``, ``or``, ``not``, ``+ - * / %`` and parentheses. A column whose name is no plain word goes
in backticks. The text is read with `ast`, nothing but this is taken, and nothing of it is ever run: its parts
are worked out with numpy, for many rows at once.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rtwidgets.errors import SchemaError, UsageError
from rtwidgets.frames.frame import Rows
from rtwidgets.frames.values import Misfit, iso_ns

__all__ = ["Condition"]

LONGEST = 1_000
"""Characters of a condition at the most."""
DEEPEST = 50
"""Parts of a condition that may lie in each other."""

Truth = npt.NDArray[np.bool_]

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_RECKON: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Mod: np.mod,
}
_PARTS: frozenset[type[ast.AST]] = frozenset(
    {ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.Compare, ast.Name}
    | {ast.Load, ast.Constant, *_COMPARE, *_RECKON}
)
_CONSTANTS = (bool, int, float, str)
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")
_EXAMPLE = "write one such as 'price > 150 and symbol == \"AAPL\"'"

NUMBER, TEXT, TIME, TRUTH = "a number", "text", "a time", "true or false"


class _Value(NamedTuple):
    """What a part of a condition is.

    Attributes
    ----------
    kind
        One of the four above.
    data
        An array with an element for each row, or one value for all of them. What is missing is NaN or NaT.
    categories
        Of text: what `data` counts into; -1 is missing. None where `data` is the text itself.
    """

    kind: str
    data: Any
    categories: Sequence[Any] | None = None

    @property
    def missing(self) -> bool:
        """Whether it is missing in all rows: such a column may become one of any kind."""
        return self.kind == NUMBER and isinstance(self.data, np.ndarray) and bool(np.isnan(self.data).all())


class Condition:
    """A condition on rows.

    A comparison with a missing value is false, also with ``!=``. Arithmetic is done in float64. A time may be
    compared with text in ISO 8601, which is UTC unless it has an offset.

    Parameters
    ----------
    text
        Such as ``'price > 150 and symbol == "AAPL"'``.

    Attributes
    ----------
    columns
        Names of the columns in it, in the order in which they appear.

    Raises
    ------
    UsageError
        When the text is no condition.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise UsageError(f"{text!r} is not a condition: {_EXAMPLE}")
        self.text = " ".join(text.strip().splitlines())
        if len(self.text) > LONGEST:
            raise UsageError(f"a condition has {LONGEST} characters at the most, not {len(self.text)}")
        self._root = _parsed(self.text)
        nodes = list(_checked(self._root, self.text))
        self.columns = tuple(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))
        if not self.columns:
            raise UsageError(f"{self.text!r} names no column: {_EXAMPLE}")

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def holds(self, rows: Rows, schema: Mapping[str, str]) -> Truth:
        """Return for which rows it is true.

        Parameters
        ----------
        rows
            With at least the columns of the condition.
        schema
            The dtypes of the columns, by name.

        Returns
        -------
        bool array of shape (rows,).

        Raises
        ------
        SchemaError
            When a column is not there, or things of different kinds are compared.
        """
        for name in self.columns:
            if name not in rows.columns:
                raise SchemaError(
                    f"{self.text!r}: there is no column {name!r}: choose from {', '.join(schema)}; "
                    "text goes in quotes"
                )
        with np.errstate(all="ignore"):
            found = _Reading(self.text, rows, schema).truth(self._root)
        return found if isinstance(found, np.ndarray) else np.full(rows.end - rows.first, found)


def _parsed(text: str) -> ast.expr:
    """Parse a condition; what stands in backticks is the name of a column."""
    quoted: list[str] = []

    def name(part: re.Match[str]) -> str:
        if part[1] is None:
            return part[0]
        quoted.append(part[1])
        return f"__column_{len(quoted) - 1}__"

    try:
        root = ast.parse(_QUOTED.sub(name, text), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise UsageError(
            f"{text!r} is not a condition: {why}; {_EXAMPLE}, and the name of a column that is no plain word "
            "in `backticks`"
        ) from None
    names = {f"__column_{number}__": name for number, name in enumerate(quoted)}
    for node in ast.walk(root):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return root


def _checked(root: ast.expr, text: str) -> Iterator[ast.AST]:
    """Yield all parts; raise for what the language does not have, or is no condition where one is wanted."""
    level: list[ast.AST] = [root]
    wanted: list[ast.expr] = [root]
    for _ in range(DEEPEST):
        for node in level:
            if type(node) not in _PARTS or (
                isinstance(node, ast.Constant) and type(node.value) not in _CONSTANTS
            ):
                shown = ast.unparse(node) or f"the operator {type(node).__name__}"
                raise UsageError(
                    f"{text!r}: {shown} has no place in a condition, which is made of columns, "
                    "numbers, text in quotes, comparisons, 'and', 'or', 'not', + - * / % and parentheses"
                )
            if isinstance(node, ast.BoolOp):
                wanted += node.values
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
                wanted.append(node.operand)
            yield node
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise UsageError(f"{text[:40]!r}… has parts in each other more than {DEEPEST} deep: write it shorter")
    for each in wanted:
        number = isinstance(each, ast.UnaryOp) and not isinstance(each.op, ast.Not)
        constant = isinstance(each, ast.Constant) and not isinstance(each.value, bool)
        if number or constant or isinstance(each, ast.BinOp):
            raise UsageError(f"{text!r}: {ast.unparse(each)} is no condition: compare it with something")


class _Reading:
    """A condition on some rows."""

    def __init__(self, text: str, rows: Rows, schema: Mapping[str, str]) -> None:
        self._text = text
        self._rows = rows
        self._schema = schema

    def truth(self, node: ast.expr) -> Any:
        """Return where a part is true."""
        match node:
            case ast.BoolOp(op=op, values=values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return reduce(join, map(self.truth, values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return np.logical_not(self.truth(operand))
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = itertools.pairwise((left, *others))
                return reduce(np.logical_and, map(self._compared, ops, sides))
        value = self._value(node)
        if value.kind != TRUTH and not value.missing:
            raise self._wrong(
                f"{ast.unparse(node)} is {value.kind} and no condition: compare it with something"
            )
        return np.equal(value.data, 1)

    def _value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Name(id=name):
                return self._column(name)
            case ast.Constant(value=bool(value)):
                return _Value(TRUTH, value)
            case ast.Constant(value=str(text)):
                return _Value(TEXT, text)
            case ast.Constant(value=int() | float() as number):
                return _Value(NUMBER, number if abs(number) < 2**63 else np.inf * (1 if number > 0 else -1))
            case ast.BinOp(left=left, op=op, right=right):
                return _Value(NUMBER, _RECKON[type(op)](self._number(left), self._number(right)))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _Value(NUMBER, -self._number(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return _Value(NUMBER, self._number(operand))
        return _Value(TRUTH, self.truth(node))

    def _column(self, name: str) -> _Value:
        data, categories = self._rows.columns[name], self._rows.categories.get(name)
        if self._schema[name] in ("bool", "boolean"):
            return _Value(TRUTH, data)
        if data.dtype.kind == "M":
            return _Value(TIME, data)
        if data.dtype == np.object_ or (categories and isinstance(categories[0], str)):
            return _Value(TEXT, data, categories)
        if categories is None:
            return _Value(NUMBER, data)
        if (data >= 0).all():
            return _Value(NUMBER, np.array(categories, np.int64)[data])
        return _Value(NUMBER, np.array([*categories, np.nan])[data])

    def _number(self, node: ast.expr) -> Any:
        value = self._value(node)
        if value.kind != NUMBER:
            raise self._wrong(f"{ast.unparse(node)} is {value.kind}: reckon with numbers only")
        return np.float64(value.data)

    def _compared(self, op: ast.cmpop, sides: tuple[ast.expr, ast.expr]) -> Any:
        left, right = map(self._value, sides)
        if left.kind == right.kind == TEXT:
            return self._texts_compared(_COMPARE[type(op)], left, right)
        if {left.kind, right.kind} == {TIME, TEXT}:
            left, right = self._moment(left), self._moment(right)
        if left.kind != right.kind:
            if left.missing or right.missing:
                return False
            shown = [
                f"{ast.unparse(side)} is {value.kind}"
                for side, value in zip(sides, (left, right), strict=True)
            ]
            raise self._wrong(f"{' and '.join(shown)}: they cannot be compared")
        if isinstance(op, ast.NotEq):  # a missing value would be other than anything
            return np.less(left.data, right.data) | np.greater(left.data, right.data)
        return _COMPARE[type(op)](left.data, right.data)

    def _texts_compared(self, compare: Callable[[str, str], bool], left: _Value, right: _Value) -> Any:
        rows = self._rows.end - self._rows.first
        for one, other, order in ((left, right, compare), (right, left, lambda a, b: compare(b, a))):
            if not isinstance(other.data, str) or isinstance(one.data, str):
                continue
            if one.categories is None and compare is operator.eq:
                return one.data == other.data
            if one.categories is not None and len(one.categories) <= rows:
                found = [order(text, other.data) for text in one.categories]
                return np.array([*found, False])[one.data]
        pairs = zip(_texts(left, rows), _texts(right, rows), strict=True)
        return np.array(
            [isinstance(a, str) and isinstance(b, str) and compare(a, b) for a, b in pairs], np.bool_
        )

    def _moment(self, value: _Value) -> _Value:
        if value.kind == TIME:
            return value
        if not isinstance(value.data, str):
            raise self._wrong("a column of text cannot be compared with a time")
        try:
            return _Value(TIME, np.datetime64(iso_ns(value.data), "ns"))
        except Misfit:
            raise self._wrong(f'{value.data!r} is no time: write one such as "2026-01-31T14:30:00"') from None

    def _wrong(self, what: str) -> SchemaError:
        return SchemaError(f"{self._text!r}: {what}")


def _texts(value: _Value, rows: int) -> Iterable[Any]:
    if value.categories is not None:
        texts = [*value.categories, None]
        return [texts[code] for code in value.data.tolist()]
    return itertools.repeat(value.data, rows) if isinstance(value.data, str) else value.data
