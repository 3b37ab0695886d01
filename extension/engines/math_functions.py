"""osquery's mathematical SQL functions (osquery/sql/sqlite_math.cpp)."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from typing import Optional

import apsw

from extension.engines.sql_values import SqlValue, number_of

_MIN_INT64 = -(1 << 63)


def _real(function: Callable[..., float]) -> Callable[..., Optional[float]]:
    """A function of doubles: NULL for NULL, C's error text where the mathematics has no answer."""

    def call(*values: SqlValue) -> Optional[float]:
        if any(value is None for value in values):
            return None
        numbers = [number_of(value) for value in values]
        try:
            return function(*numbers)
        except OverflowError:
            raise apsw.SQLError(os.strerror(errno.ERANGE)) from None
        except (ValueError, ZeroDivisionError):
            # A pole (the logarithm of 0, a negative power of 0) is a range error in C.
            raise apsw.SQLError(os.strerror(errno.EDOM if numbers[0] else errno.ERANGE)) from None

    return call


def _whole(function: Callable[[float], int]) -> Callable[[SqlValue], Optional[int]]:
    """A rounding function: whole numbers stay as they are, the result is always one."""

    def call(value: SqlValue) -> Optional[int]:
        if value is None or isinstance(value, int):
            return value
        number = number_of(value)
        if not math.isfinite(number):
            return _MIN_INT64
        rounded = function(number)
        return rounded if _MIN_INT64 <= rounded < -_MIN_INT64 else _MIN_INT64

    return call


def _exp(number: float) -> float:
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


# Name, number of arguments, function.
MATH_FUNCTIONS: tuple[tuple[str, int, Callable[..., SqlValue]], ...] = (
    ("ceil", 1, _whole(math.ceil)),
    ("floor", 1, _whole(math.floor)),
    ("sqrt", 1, _real(math.sqrt)),
    # osquery's log is the natural logarithm, SQLite's own the decimal one.
    ("log", 1, _real(math.log)),
    ("log10", 1, _real(math.log10)),
    ("exp", 1, _real(_exp)),
    ("power", 2, _real(math.pow)),
    ("sin", 1, _real(math.sin)),
    ("cos", 1, _real(math.cos)),
    ("tan", 1, _real(math.tan)),
    ("cot", 1, _real(lambda number: 1 / math.tan(number) if number else math.inf)),
    ("asin", 1, _real(math.asin)),
    ("acos", 1, _real(math.acos)),
    ("atan", 1, _real(math.atan)),
    ("degrees", 1, _real(math.degrees)),
    ("radians", 1, _real(math.radians)),
    ("pi", 0, lambda: math.pi),
)
