"""The pack model: reads a folder of SOP step files (YAML) and says file and line of whatever is malformed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Optional

from extension.pack.discovery import DISCOVERY, read_discovery
from extension.pack.known_good import expanded, key_problems
from extension.pack.parts import KINDS, SEVERITIES, Pack, PackError, Problem, Query, Step, Text
from extension.pack.reading import FileReader, Folder
from extension.pack.responses import PROCEDURES, Procedures, read_procedures, read_response
from extension.pack.yaml_lines import Mapping
from tables.indicators.process_names import process_names

__all__ = ["KINDS", "SEVERITIES", "Pack", "PackError", "Problem", "Query", "Step", "Text", "load_pack", "shipped_pack"]

_STEP_KEYS = ("step", "title", "asks", "queries")
_QUERY_KEYS = (
    "kind",
    "severity",
    "attack",
    "interval",
    "snapshot",
    "needs_root",
    "title",
    "description",
    "response",
    "false_positives",
    "sql",
)
_OPTIONAL_KEYS = ("known_good", "stage", "things", "says")
# Stands in a regular expression for the folders that anybody may write to, parted by |.
_WRITABLE = "{writable_folders}"


def shipped_pack(name: str = "cryptominer_triage") -> Folder:
    """The pack of this name that this minehunt came with; cryptominer_events is the one over osquery's event tables."""
    home = Path(__file__).resolve().parents[2]
    if home.is_file():
        return zipfile.Path(str(home), f"packs/{name}/")
    return home / "packs" / name


def load_pack(folder: Folder) -> Pack:
    """Read every `*.yaml` file of `folder` as one SOP step, but for those of procedures and of discovery.

    PackError names file and line when any is malformed.
    """
    entries = folder.iterdir() if folder.is_dir() else ()
    files = sorted((entry for entry in entries if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    if not files:
        raise PackError([Problem(Path(str(folder)), 1, "no *.yaml file here, so this is no pack")])
    procedures, problems = read_procedures([file for file in files if file.name == PROCEDURES])
    steps: list[Step] = []
    discovery, wrong = read_discovery([file for file in files if file.name == DISCOVERY])
    problems += wrong
    for file in files:
        if file.name in (PROCEDURES, DISCOVERY):
            continue
        reader = _StepReader(file, procedures)
        step = reader.step()
        problems += reader.problems
        if step is not None:
            steps.append(step)
    if problems:
        raise PackError(problems)
    return Pack(folder.name, Path(str(folder)), tuple(sorted(steps, key=lambda step: (step.step, step.file))), discovery)


class _StepReader(FileReader):
    """Turns one file into a Step, collecting what is wrong with it."""

    def __init__(self, source: Folder, procedures: Procedures) -> None:
        super().__init__(source)
        self._procedures = procedures

    def step(self) -> Optional[Step]:
        """The step, or None when a problem was found."""
        document = self.document("a step file is a mapping with the keys " + ", ".join(_STEP_KEYS))
        if document is None:
            return None
        self.keys(document, _STEP_KEYS, "step file")
        number = self.value(document, "step", int, 0)
        title, asks = self.text(document, "title"), self.text(document, "asks")
        bodies = self.value(document, "queries", Mapping, Mapping())
        if "queries" in document and not bodies:
            self.problem(document.lines["queries"], "`queries` holds no query")
        queries = [self._query(name, body, bodies.lines[name]) for name, body in bodies.items()]
        return None if self.problems else Step(number, title, asks, tuple(queries), self.file, document.lines["step"])

    def _query(self, name: str, body: Any, line: int) -> Query:
        if not isinstance(body, Mapping):
            self.problem(line, f"query {name!r} must be a mapping")
            body = Mapping()
        else:
            self.keys(body, _QUERY_KEYS, f"query {name!r}", line, _OPTIONAL_KEYS)
        return Query(
            name=name,
            kind=self.value(body, "kind", str, ""),
            severity=self.value(body, "severity", str, ""),
            attack=self.strings(body, "attack"),
            interval=self.value(body, "interval", int, 0),
            snapshot=self.value(body, "snapshot", bool, False),
            needs_root=self.value(body, "needs_root", bool, False),
            title=self.text(body, "title"),
            description=self.text(body, "description"),
            response=read_response(self, body, self._procedures),
            false_positives=self._false_positives(body),
            sql=self._sql(body),
            file=self.file,
            line=line,
            lines=dict(body.lines),
            stage=self.value(body, "stage", str, ""),
            things=self._things(body),
            says=self.text(body, "says") if "says" in body else None,
        )

    def _things(self, body: Mapping) -> dict[str, tuple[str, ...]]:
        things: Mapping = self.value(body, "things", Mapping, Mapping())
        found = {}
        for kind, columns in things.items():
            listed = [columns] if isinstance(columns, str) else columns
            if isinstance(listed, list) and listed and all(isinstance(column, str) and column for column in listed):
                found[kind] = tuple(listed)
            else:
                self.problem(things.lines[kind], f"`{kind}` of `things` must name a column, or a list of columns")
        return found

    def _sql(self, body: Mapping) -> str:
        sql: str = self.value(body, "sql", str, "")
        keys: Mapping = self.value(body, "known_good", Mapping, Mapping())
        if "known_good" in body and not keys:
            self.problem(body.lines["known_good"], "`known_good` names no category")
        found = list(key_problems(sql, keys))
        for place, message in found:
            self.problem(keys.lines.get(place) or body.lines.get(place, 1), message)
        return sql if found else expanded(sql, keys).replace(_WRITABLE, process_names().writable_folders_pattern)

    def _false_positives(self, body: Mapping) -> tuple[Text, ...]:
        texts = []
        for both in self.value(body, "false_positives", list, []):
            line = body.lines["false_positives"]
            if isinstance(both, Mapping):
                texts.append(self.both(both, "false_positives", min(both.lines.values(), default=line)))
            else:
                self.problem(line, "a false positive has an English and a Chinese text: `- {en: …, zh: …}`")
        return tuple(texts)
