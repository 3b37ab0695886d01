"""The span of time that a query asks for with the hidden columns `since` and `until`, and with bounds on `ctime`."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

from tables.errors import BadQuestion
from tables.moments import parse_moment
from tables.schema import EQUALS, Constraint, QueryContext

# SQLite's operators as osquery passes them on (osquery/core/tables.h).
_GREATER, _AT_LEAST = 4, 32
LIMITS = frozenset({73, 74})
_NANO = 1_000_000_000
_DAY_NS = 86400 * _NANO
_BEFORE_ALL = -(1 << 80)


class Span(NamedTuple):
    """What was asked for as `since` and `until`, and the nanoseconds that this means: after `first`, not after `last`."""

    since: Optional[str]
    until: Optional[str]
    first: int
    last: Optional[int]

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, int) and self.first < moment and (self.last is None or moment <= self.last)

    @property
    def earliest(self) -> int:
        """The unix second before which nothing is in the span."""
        return self.first // _NANO


def asked_span(query: QueryContext, since: Optional[str], until: Optional[str]) -> Span:
    """The span from `since` to `until`, cut to the query's lower bounds on ctime; BadQuestion when one names no moment.

    Without `since` it begins 24 hours before `until` (now, without that), or is as wide as ctime is bounded.
    """
    now = time.time()
    last = _moment("until", until, now) if until else None
    lower = _lower_bound(query)
    if since:
        first = _moment("since", since, now)
    elif any(term.op not in LIMITS for term in query.constraints.get("ctime", ())):
        first = lower
    else:
        first = (last if last is not None else int(now * _NANO)) - _DAY_NS
    return Span(since, until, max(first, lower), last)


def _moment(name: str, text: str, now: float) -> int:
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise BadQuestion(f"{name}: {error}") from None


def _lower_bound(query: QueryContext) -> int:
    """The nanosecond after which ctime, in whole seconds, must be to satisfy the query's conditions on it."""
    terms = [term for term in query.constraints.get("ctime", ()) if _is_number(term)]
    bounds = [int(term.expr) for term in terms if term.op in (_GREATER, _AT_LEAST)]
    # Of the values of an IN list any may hold, so that only the earliest bounds.
    equal = [int(term.expr) for term in terms if term.op == EQUALS]
    bounds += [min(equal)] if equal and len(equal) == len(query.equals("ctime") or ()) else []
    return max(bounds) * _NANO - 1 if bounds else _BEFORE_ALL


def _is_number(term: Constraint) -> bool:
    digits = term.expr.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < 16
