"""Finds SQL that gives regex_match or regex_split a text of any length: osquery's is std::regex, which recurses.

A program's arguments are megabytes if it likes, and a subject of some hundred thousand characters ends osqueryd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlglot import exp

from extension.sql_trees import sql_tree

MAX_SUBJECT = 1024
_FUNCTIONS = ("regex_match", "regex_split")
# Columns that are short whatever an attacker does: names and paths by the kernel's limits, reasons by the number of their words.
_SHORT = frozenset(
    {
        *(
            "reasons",
            "program_reasons",
            "unit_reasons",
            "command_reasons",
            "alert_reasons",
            "signals",
            "confidence",
            "mechanism",
            "state",
        ),
        *("path", "exe_path", "program_path", "cwd", "unit", "name", "process_name", "first_non_shell_ancestor", "username"),
        *("remote_address", "local_address"),
    }
)
# Functions whose result is no longer than their arguments together.
_KEEPS_LENGTH = (exp.Lower, exp.Upper, exp.Trim, exp.Coalesce, exp.Nullif, exp.DPipe, exp.Paren, exp.Case, exp.If)


class Subject(NamedTuple):
    """One subject that may be of any length: the line of the query, from 1, and the expression."""

    line: int
    text: str


def unbounded_subjects(sql: str) -> list[Subject]:
    """The subjects in `sql` that are neither short by nature nor cut by `substr(…, 1, 1024)`; [] for what cannot be parsed."""
    tree = sql_tree(sql)
    if tree is None:
        return []
    return sorted({Subject(_line(call), call.expressions[0].sql("sqlite")) for call in _calls(tree) if not _fits(call, tree)})


def _calls(tree: exp.Expr) -> Iterator[exp.Anonymous]:
    return (call for call in tree.find_all(exp.Anonymous) if call.name.lower() in _FUNCTIONS and call.expressions)


def _fits(call: exp.Anonymous, tree: exp.Expr) -> bool:
    return _is_short(call.expressions[0], tree, frozenset())


def _is_short(node: exp.Expr, tree: exp.Expr, seen: frozenset[str]) -> bool:
    if isinstance(node, exp.Substring):
        return _is_number(node.args.get("start"), 1) and _is_number(node.args.get("length"), MAX_SUBJECT)
    if isinstance(node, (exp.Literal, exp.Null)):
        return True
    if isinstance(node, exp.Anonymous) and node.name.lower() in _FUNCTIONS:
        return _is_short(node.expressions[0], tree, seen)
    if isinstance(node, exp.Column):
        made = [alias.this for alias in tree.find_all(exp.Alias) if alias.alias == node.name]
        if node.name in seen or not made:
            return node.name in _SHORT
        return all(_is_short(each, tree, seen | {node.name}) for each in made)
    if isinstance(node, _KEEPS_LENGTH):
        return all(_is_short(part, tree, seen) for part in _results(node))
    return False


def _results(node: exp.Expr) -> Iterator[exp.Expr]:
    """The expressions of which the result is made; conditions of CASE are not among them."""
    if isinstance(node, exp.Case):
        yield from (branch.args["true"] for branch in node.args["ifs"])
        yield from filter(None, (node.args.get("default"),))
    else:
        yield from node.iter_expressions()


def _is_number(node: object, most: int) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and int(node.this) in range(1, most + 1)


def _line(node: exp.Expr) -> int:
    return min((part.meta["line"] for part in node.find_all(exp.Identifier) if "line" in part.meta), default=1)
