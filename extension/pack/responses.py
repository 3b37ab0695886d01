"""What is done about a query's rows: its `response`, a list of steps, and the procedures that queries share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from extension.pack.parts import COLUMN, PHASES, Problem, ResponseStep, Text, columns_of
from extension.pack.reading import FileReader, Folder
from extension.pack.yaml_lines import Mapping

# The file of a pack that holds its procedures, in the order of a plan.
PROCEDURES = "procedures.yaml"
Procedures = dict[str, ResponseStep]

_KEYS = ("phase", "text")
_OPTIONAL = ("command", "when", "unless")
_OF_REFERENCE = ("do", "when", "unless")


def read_procedures(files: Sequence[Folder]) -> tuple[Procedures, list[Problem]]:
    """The procedures of a pack by name, and what is wrong with their file; none where the pack has no such file."""
    found: Procedures = {}
    problems: list[Problem] = []
    for file in files:
        reader = FileReader(file)
        document = reader.document("a mapping of procedures, each with the keys " + ", ".join(_KEYS))
        for rank, (name, body) in enumerate((document or {}).items()):
            assert document is not None
            found[name] = _step(reader, body, document.lines[name], rank)
        problems += reader.problems
    return found, problems


def read_response(reader: FileReader, body: Mapping, procedures: Procedures) -> tuple[ResponseStep, ...]:
    """The steps of a query's `response`: names of procedures, `{do: NAME, COLUMN OF THE PROCEDURE: COLUMN}`, or whole steps."""
    listed: list[Any] = reader.value(body, "response", list, [])
    if "response" not in body:
        return ()
    line = body.lines["response"]
    if not listed:
        reader.problem(line, "`response` is a list of steps: names of procedures, or each with phase and text")
    steps = []
    for one in listed:
        at = min(one.lines.values(), default=line) if isinstance(one, Mapping) else line
        if isinstance(one, str) or (isinstance(one, Mapping) and "do" in one):
            step = _procedure(reader, one, at, procedures)
            if step is not None:
                steps.append(step)
        else:
            steps.append(_step(reader, one, at, len(procedures)))
    return tuple(steps)


def _procedure(reader: FileReader, one: Any, line: int, procedures: Procedures) -> Optional[ResponseStep]:
    given = one if isinstance(one, Mapping) else {"do": one}
    name = given["do"]
    if not isinstance(name, str) or name not in procedures:
        reader.problem(line, f"no procedure {name!r} in {PROCEDURES}")
        return None
    step = procedures[name]
    named = {*columns_of(step.text.en), *columns_of(step.text.zh), *columns_of(step.command)}
    renamed = {key: column for key, column in given.items() if key not in _OF_REFERENCE}
    for key, column in given.items():
        if not isinstance(column, str):
            reader.problem(line, f"`{key}` of the procedure `{name}` must name a column")
            return None
        if key in renamed and key not in named:
            reader.problem(line, f"the procedure `{name}` names no column `{key}`")

    def put(text: str) -> str:
        return COLUMN.sub(lambda match: f"<{renamed.get(match[1], match[1])}>", text)

    return ResponseStep(
        step.phase,
        Text(put(step.text.en), put(step.text.zh)),
        put(step.command),
        given.get("when", step.when),
        given.get("unless", step.unless),
        step.rank,
    )


def _step(reader: FileReader, body: Any, line: int, rank: int) -> ResponseStep:
    if not isinstance(body, Mapping):
        reader.problem(line, "a step has the keys " + ", ".join(_KEYS))
        return ResponseStep("", Text("", ""))
    reader.keys(body, _KEYS, "a step of a response", line, _OPTIONAL)
    phase: str = reader.value(body, "phase", str, "")
    if "phase" in body and phase not in PHASES:
        reader.problem(body.lines["phase"], f"unknown phase {phase!r}; one of {', '.join(PHASES)}")
    command, when, unless = (reader.value(body, key, str, "").strip() for key in _OPTIONAL)
    return ResponseStep(phase, reader.text(body, "text"), command, when, unless, rank)
