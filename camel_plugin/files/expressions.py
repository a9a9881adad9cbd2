"""Expressions in specifications: Python arithmetic over names, walked node by node, never run as code.

As in Accelergy, an unquoted text is an expression and a quoted one is a string.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from camel_plugin.errors import nearest
from camel_plugin.files.yaml_source import YamlNode

_ENDLESS = ("comb", "factorial", "perm")  # their integers have no bound
FUNCTIONS: Mapping[str, Callable[..., object]] = {
    **{name: function for name, function in vars(math).items() if callable(function) and name not in _ENDLESS},
    **{function.__name__: function for function in (abs, bool, float, int, len, max, min, round, str, sum)},
}
CONSTANTS: Mapping[str, object] = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

_MAX_BITS = 4096  # longer integers are typing errors and would only cost time
_MAX_LENGTH = 2000


class ExpressionError(ValueError):
    """The text is no expression, or its value does not exist."""


def evaluate(text: str, names: Mapping[str, object]) -> object:
    """The value of a Python expression.

    Args:
        text: arithmetic, comparisons, ``a if b else c``, lists, indexing, the functions of ``FUNCTIONS`` and ``pow``.
        names: values that the expression may use; a dict is entered with ``name.key`` or ``name["key"]``.

    Raises:
        ExpressionError: unknown name, anything beyond the above, or an operation without a result.
    """
    try:
        if len(text) > _MAX_LENGTH:
            raise ExpressionError(f"is longer than {_MAX_LENGTH} characters")
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            tree = ast.parse(text.strip(), mode="eval")
        return _walk(tree.body, names)
    except SyntaxError as error:
        raise ExpressionError("is no expression; put strings in double quotes") from error
    except RecursionError as error:
        raise ExpressionError("is nested too deeply") from error
    except (ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise error if isinstance(error, ExpressionError) else ExpressionError(f"has no value: {error}") from error


def resolve(node: YamlNode, names: Mapping[str, object]) -> object:
    """The node as plain data, its unquoted texts evaluated; in a mapping, earlier keys are names for later ones.

    Raises:
        SpecError: with file, line and field of the text that cannot be evaluated.
    """
    if isinstance(node.value, dict):
        scope, result = dict(names), {}
        for key, child in node.value.items():
            scope[key] = result[key] = resolve(child, scope)
        return result
    if isinstance(node.value, list):
        return [resolve(child, names) for child in node.value]
    if not isinstance(node.value, str) or node.quoted:
        return node.value
    try:
        return evaluate(node.value, names)
    except ExpressionError as error:
        raise node.error(str(error), value=node.value) from error


def _power(base: object, exponent: object) -> object:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MAX_BITS:
        raise ExpressionError("is too large")
    value = operator.pow(base, exponent)
    if isinstance(value, complex):
        raise ExpressionError("has no real value")
    return value


def _shifted(value: int, places: int) -> int:
    if places > _MAX_BITS:
        raise ExpressionError("is too large")
    return value << places


_OPERATORS: Mapping[type[ast.AST], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.LShift: _shifted,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Invert: operator.invert,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
_NUMBERS_ONLY = (ast.Mult, ast.Mod, ast.Pow, ast.LShift)  # on texts and lists these repeat and format


def _walk(node: ast.AST, names: Mapping[str, object]) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.Name(id=name):
            return _name(name, names)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_walk(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            operands = _walk(left, names), _walk(right, names)
            if isinstance(op, _NUMBERS_ONLY) and not all(isinstance(operand, int | float) for operand in operands):
                raise ExpressionError("calculates with something that is no number")
            return _bounded(_OPERATORS[type(op)](*operands))
        case ast.BoolOp(op=op, values=values):
            result = _walk(values[0], names)
            for value in values[1:]:
                if bool(result) is isinstance(op, ast.Or):
                    break
                result = _walk(value, names)
            return result
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _OPERATORS for op in ops):
            values = [_walk(value, names) for value in (left, *comparators)]
            return all(_OPERATORS[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _walk(body if _walk(test, names) else orelse, names)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_walk(item, names) for item in items]
        case ast.Subscript(value=container, slice=key):
            return _walk(container, names)[_walk(key, names)]
        case ast.Attribute(value=container, attr=key):
            mapping = _walk(container, names)
            if not isinstance(mapping, Mapping):
                raise ExpressionError(f"{key!r} is asked of something that has no fields")
            return _name(key, mapping, builtins=False)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, [_walk(argument, names) for argument in arguments])
    raise ExpressionError(f"{type(node).__name__} is not allowed in an expression")


def _name(name: str, names: Mapping[str, object], *, builtins: bool = True) -> object:
    if name in names:
        return names[name]
    if builtins and name in CONSTANTS:
        return CONSTANTS[name]
    raise ExpressionError(f"nothing is called {name!r}; {nearest(name, sorted(map(str, names)))}")


def _call(name: str, arguments: list[object]) -> object:
    if name == "pow" and len(arguments) == 2:
        return _bounded(_power(*arguments))
    if name not in FUNCTIONS:
        raise ExpressionError(f"no function is called {name!r}; {nearest(name, sorted([*FUNCTIONS, 'pow']))}")
    return _bounded(FUNCTIONS[name](*arguments))


def _bounded(value: object) -> object:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ExpressionError("is too large")
    return value
