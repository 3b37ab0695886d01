"""LogQL by Loki's own grammar (npm's @grafana/lezer-logql) and RE2, its regular expressions; stages as Loki documents them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_FILES = Path(__file__).parent / "siem_engines"
Node = list[Any]
Labels = dict[str, str]


def install(folder: Path) -> str:
    """Put the grammar into `folder`; why that cannot be, "" when it is there."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "no npm, which has Loki's grammar"
    for name in ("package.json", "package-lock.json", "parse_logql.mjs"):
        shutil.copy(_FILES / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"npm ci: {done.stderr[-300:]}"


def trees(folder: Path, queries: Sequence[str]) -> list[Node]:
    """The syntax tree of each query, a node being [name, text, children]."""
    command = ["node", "parse_logql.mjs"]
    done = subprocess.run(command, cwd=folder, input=json.dumps(queries), capture_output=True, text=True, check=True)
    found: list[Node] = json.loads(done.stdout)
    return found


def nodes(tree: Node, name: str) -> Iterator[Node]:
    """All nodes of that name, outermost first."""
    if tree[0] == name:
        yield tree
    for child in tree[2]:
        yield from nodes(child, name)


def finds(tree: Node, lines: Sequence[str]) -> set[int]:
    """The numbers of the stream's lines that the query's log pipeline lets through."""
    stages = [(stage[2][-1][0], stage) for stage in nodes(tree, "PipelineStage")]
    return {number for number, line in enumerate(lines) if _passes_all(stages, line)}


def _passes_all(stages: Sequence[tuple[str, Node]], line: str) -> bool:
    labels: Labels = {}
    for kind, stage in stages:
        if kind == "LineFilters":
            if not all(_string(node[1]) in line for node in nodes(stage, "String")):
                return False
        elif kind == "LabelParser":
            labels = _parsed(line)
        elif kind == "JsonExpressionParser":
            labels = _picked(stage, line)
        elif kind == "LabelFilter":
            if not _passes(stage[2][-1], labels):
                return False
        else:
            assert kind in ("DropLabelsExpr", "LineFormatExpr"), kind
    return True


@cache
def _parsed(line: str) -> Labels:
    return _flat(json.loads(line))


def _flat(value: Any, prefix: str = "") -> Labels:
    """`| json` without expressions: every value that is not an object or a list, keys joined by _."""
    found: Labels = {}
    for key, inner in value.items():
        name = re.sub(r"[^A-Za-z0-9_]", "_", f"{prefix}{key}")
        if isinstance(inner, dict):
            found |= _flat(inner, f"{name}_")
        elif not isinstance(inner, list):
            found[name] = inner if isinstance(inner, str) else json.dumps(inner)
    return found


def _picked(stage: Node, line: str) -> Labels:
    event = json.loads(line)
    pairs = [(node[2][0][1], _string(node[2][2][1])) for node in nodes(stage, "LabelExtractionExpression")]
    return {label: str(event.get(key, "")) for label, key in pairs}


def _passes(node: Node, labels: Labels) -> bool:
    children = [child for child in node[2] if child[0] in ("LabelFilter", "Matcher", "And", "Or")]
    if len(children) == 1:
        return _passes(children[0], labels) if children[0][0] == "LabelFilter" else _matches(children[0], labels)
    left, operator, right = children
    if operator[0] == "And":
        return _passes(left, labels) and _passes(right, labels)
    return _passes(left, labels) or _passes(right, labels)


def _matches(matcher: Node, labels: Labels) -> bool:
    identifier, operator, wanted = matcher[2]
    value = labels.get(identifier[1], "")
    if operator[0] == "Eq":
        return value == _string(wanted[1])
    assert operator[0] == "Re", operator
    return _compiled(_string(wanted[1])).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern)


def _string(text: str) -> str:
    return text[1:-1] if text[0] == "`" else str(json.loads(text))
