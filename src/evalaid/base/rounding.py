"""A published figure and the interval that its rounding leaves open, and arithmetic that carries the interval along."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evalaid.base.errors import FactsError

_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Figure:
    """A figure as it is stated, with the smallest and the largest number that it can stand for.

    Assumes that operands of one expression are unrelated, so that an interval can be too wide but never too narrow.

    Raises
    ------
    FactsError
        When ``low <= value <= high`` does not hold.

    Examples
    --------
    >>> difference = Figure.rounded(86.9, 1) - Figure.rounded(82.2, 1)
    >>> round(difference.value, 2), round(difference.low, 2), round(difference.high, 2)
    (4.7, 4.6, 4.8)
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise FactsError(
                f"Found a figure of {self.value:g} outside its own interval {self.low:g} to {self.high:g}."
            )

    @classmethod
    def exact(cls, value: float) -> Figure:
        """Return a number as it stands: a count, or a number that is assumed.

        Examples
        --------
        >>> Figure.exact(57)
        Figure(value=57.0, low=57.0, high=57.0)
        """
        return cls(float(value), float(value), float(value))

    @classmethod
    def rounded(cls, value: float, digits: int) -> Figure:
        """Return a number that was rounded to ``digits`` decimals: it stands for half a unit of the last one either way.

        Examples
        --------
        >>> Figure.rounded(71, 0)
        Figure(value=71.0, low=70.5, high=71.5)
        """
        half = 0.5 * 10.0**-digits
        return cls(float(value), value - half, value + half)

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low

    def __add__(self, other: Figure) -> Figure:
        return _combine(operator.add, self, other)

    def __sub__(self, other: Figure) -> Figure:
        return _combine(operator.sub, self, other)

    def __mul__(self, other: Figure) -> Figure:
        return _combine(operator.mul, self, other)

    def __truediv__(self, other: Figure) -> Figure:
        return _combine(operator.truediv, self, other)

    def __neg__(self) -> Figure:
        return Figure(-self.value, -self.high, -self.low)


def as_figure(number: Figure | float) -> Figure:
    """Return a figure as it is, and a plain number as exact.

    Returns
    -------
    Figure

    Examples
    --------
    >>> as_figure(1.5).width
    0.0
    """
    return number if isinstance(number, Figure) else Figure.exact(number)


def evaluate(expression: str, figures: Mapping[str, Figure]) -> Figure:
    """Compute an expression over figures, with its interval.

    Assumes unrelated operands (see `Figure`). Numbers in the expression are exact.

    Returns
    -------
    Figure

    Raises
    ------
    FactsError
        When the expression holds anything else, or a name that is not there.

    Examples
    --------
    >>> evaluate("100 * a / b", {"a": Figure.exact(1), "b": Figure.exact(8)}).value
    12.5
    """
    return _compute(_parse(expression), expression, figures)


def names_in(expression: str) -> tuple[str, ...]:
    """Return the names in an expression, in the order of the alphabet.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names_in("57 - F091 - F095")
    ('F091', 'F095')
    """
    return tuple(sorted({node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name)}))


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise FactsError(f"{expression!r} is no arithmetic; expected names, numbers, + - * / and brackets.") from None


def _compute(node: ast.expr, expression: str, figures: Mapping[str, Figure]) -> Figure:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = (_compute(side, expression, figures) for side in (node.left, node.right))
        return _combine(_OPERATIONS[type(node.op)], left, right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_compute(node.operand, expression, figures)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return Figure.exact(node.value)
    if isinstance(node, ast.Name):
        if node.id not in figures:
            raise FactsError(f"{expression!r} names {node.id!r}, which is not there.")
        return figures[node.id]
    raise FactsError(f"{expression!r} is no arithmetic; expected names, numbers, + - * / and brackets.")


def _combine(operation: Callable[[float, float], float], left: Figure, right: Figure) -> Figure:
    if operation is operator.truediv and right.low <= 0 <= right.high:
        raise FactsError(f"A figure is divided by one that may be zero ({right.low:g} to {right.high:g}).")
    ends = [operation(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    ends = [0.0 if math.isnan(end) else end for end in ends]  # 0 times infinity: the bound is 0
    value = operation(left.value, right.value)
    return Figure(value, min(*ends, value), max(*ends, value))
