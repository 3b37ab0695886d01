"""The pack model: reads a folder of SOP step files (YAML) and says file and line of whatever is malformed."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from extension.pack.known_good import expanded, key_problems
from extension.pack.parts import KINDS, SEVERITIES, Pack, PackError, Problem, Query, Step, Text
from tables.indicators.process_names import process_names
from tables.text.bounded_yaml import BoundedLoader

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
# YAML makes a blank of a line break, and Chinese has none between its own letters nor beside its wide signs.
_WIDE_SIGNS = r"\u3001-\u303f\uff01-\uff60"
_FOLDED = re.compile(rf"(?<=[{_WIDE_SIGNS}]) | (?=[{_WIDE_SIGNS}])|(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
# A step file is a few kilobytes; anything far larger is no step file, and is not parsed.
_MAX_FILE_BYTES = 1024 * 1024
# A folder of step files, on disk or inside the one-file minehunt.ext.
Folder = Union[Path, zipfile.Path]


def shipped_pack() -> Folder:
    """The pack that this minehunt came with."""
    home = Path(__file__).resolve().parents[2]
    if home.is_file():
        return zipfile.Path(str(home), "packs/cryptominer_triage/")
    return home / "packs" / "cryptominer_triage"


def load_pack(folder: Folder) -> Pack:
    """Read every `*.yaml` file of `folder` as one SOP step; PackError naming file and line when any is malformed."""
    entries = folder.iterdir() if folder.is_dir() else ()
    files = sorted((entry for entry in entries if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    if not files:
        raise PackError([Problem(Path(str(folder)), 1, "no *.yaml file here, so this is no pack")])
    problems: list[Problem] = []
    steps: list[Step] = []
    for file in files:
        reader = _Reader(file)
        step = reader.step()
        problems += reader.problems
        if step is not None:
            steps.append(step)
    if problems:
        raise PackError(problems)
    return Pack(folder.name, Path(str(folder)), tuple(sorted(steps, key=lambda step: (step.step, step.file))))


class _Mapping(dict[str, Any]):
    """A YAML mapping that knows the lines of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class _Loader(BoundedLoader):
    """The loader of YAML that others write, with line numbers, and refusing the same key twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Mapping:
    mapping = _Mapping()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no text", key_node.start_mark)
        if key in mapping:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} appears twice", key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
        mapping.lines[key] = key_node.start_mark.line + 1
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Reader:
    """Turns one file into a Step, collecting what is wrong with it."""

    def __init__(self, source: Folder) -> None:
        self.source = source
        self.file = Path(str(source))
        self.problems: list[Problem] = []

    def step(self) -> Optional[Step]:
        """The step, or None when a problem was found."""
        document = self._document()
        if document is None:
            return None
        self._keys(document, _STEP_KEYS, "step file")
        number = self._value(document, "step", int, 0)
        title, asks = self._text(document, "title"), self._text(document, "asks")
        bodies = self._value(document, "queries", _Mapping, _Mapping())
        if "queries" in document and not bodies:
            self._problem(document.lines["queries"], "`queries` holds no query")
        queries = [self._query(name, body, bodies.lines[name]) for name, body in bodies.items()]
        return None if self.problems else Step(number, title, asks, tuple(queries), self.file, document.lines["step"])

    def _document(self) -> Optional[_Mapping]:
        try:
            content = self.source.read_bytes()
            if len(content) > _MAX_FILE_BYTES:
                self._problem(1, f"larger than {_MAX_FILE_BYTES} bytes")
                return None
            # The loader is SafeLoader with one constructor replaced.
            document = yaml.load(content, _Loader)  # noqa: S506
        except OSError as error:
            self._problem(1, f"cannot be read: {error.strerror}")
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._problem(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}")
            return None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self._problem(1, f"not valid YAML: {str(error).splitlines()[0] if str(error) else 'nested too deeply'}")
            return None
        if not isinstance(document, _Mapping):
            self._problem(1, "a step file is a mapping with the keys " + ", ".join(_STEP_KEYS))
            return None
        return document

    def _query(self, name: str, body: Any, line: int) -> Query:
        if not isinstance(body, _Mapping):
            self._problem(line, f"query {name!r} must be a mapping")
            body = _Mapping()
        else:
            self._keys(body, _QUERY_KEYS, f"query {name!r}", line, _OPTIONAL_KEYS)
        return Query(
            name=name,
            kind=self._value(body, "kind", str, ""),
            severity=self._value(body, "severity", str, ""),
            attack=self._strings(body, "attack"),
            interval=self._value(body, "interval", int, 0),
            snapshot=self._value(body, "snapshot", bool, False),
            needs_root=self._value(body, "needs_root", bool, False),
            title=self._text(body, "title"),
            description=self._text(body, "description"),
            response=self._text(body, "response"),
            false_positives=self._false_positives(body),
            sql=self._sql(body),
            file=self.file,
            line=line,
            lines=dict(body.lines),
            stage=self._value(body, "stage", str, ""),
            things=self._things(body),
            says=self._text(body, "says") if "says" in body else None,
        )

    def _things(self, body: _Mapping) -> dict[str, tuple[str, ...]]:
        things: _Mapping = self._value(body, "things", _Mapping, _Mapping())
        found = {}
        for kind, columns in things.items():
            listed = [columns] if isinstance(columns, str) else columns
            if isinstance(listed, list) and listed and all(isinstance(column, str) and column for column in listed):
                found[kind] = tuple(listed)
            else:
                self._problem(things.lines[kind], f"`{kind}` of `things` must name a column, or a list of columns")
        return found

    def _sql(self, body: _Mapping) -> str:
        sql: str = self._value(body, "sql", str, "")
        keys: _Mapping = self._value(body, "known_good", _Mapping, _Mapping())
        if "known_good" in body and not keys:
            self._problem(body.lines["known_good"], "`known_good` names no category")
        found = list(key_problems(sql, keys))
        for place, message in found:
            self._problem(keys.lines.get(place) or body.lines.get(place, 1), message)
        return sql if found else expanded(sql, keys).replace(_WRITABLE, process_names().writable_folders_pattern)

    def _keys(self, mapping: _Mapping, wanted: tuple[str, ...], what: str, line: int = 1, optional: tuple[str, ...] = ()) -> None:
        for key in wanted:
            if key not in mapping:
                self._problem(line, f"{what} lacks the key `{key}`")
        for key in mapping:
            if key not in wanted + optional:
                self._problem(mapping.lines[key], f"{what} has the unknown key `{key}`")

    def _value(self, mapping: _Mapping, key: str, kind: type[Any], default: Any) -> Any:
        value = mapping.get(key, default)
        # bool is an int in Python, but `interval: true` is a mistake.
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        words = {str: "a text", int: "a whole number", bool: "true or false", _Mapping: "a mapping", list: "a list"}
        self._problem(mapping.lines[key], f"`{key}` must be {words[kind]}")
        return default

    def _strings(self, mapping: _Mapping, key: str) -> tuple[str, ...]:
        values: list[Any] = self._value(mapping, key, list, [])
        if all(isinstance(value, str) and value.strip() for value in values):
            return tuple(values)
        self._problem(mapping.lines[key], f"`{key}` must be a list of texts")
        return ()

    def _false_positives(self, body: _Mapping) -> tuple[Text, ...]:
        texts = []
        for both in self._value(body, "false_positives", list, []):
            line = body.lines["false_positives"]
            if isinstance(both, _Mapping):
                texts.append(self._both(both, "false_positives", min(both.lines.values(), default=line)))
            else:
                self._problem(line, "a false positive has an English and a Chinese text: `- {en: …, zh: …}`")
        return tuple(texts)

    def _text(self, mapping: _Mapping, key: str) -> Text:
        both: _Mapping = self._value(mapping, key, _Mapping, _Mapping())
        return self._both(both, key, mapping.lines[key]) if isinstance(mapping.get(key), _Mapping) else Text("", "")

    def _both(self, both: _Mapping, key: str, line: int) -> Text:
        self._keys(both, ("en", "zh"), f"`{key}`", line)
        texts = {language: self._value(both, language, str, "") for language in ("en", "zh")}
        for language in ("en", "zh"):
            if language in both and not texts[language].strip():
                self._problem(both.lines[language], f"`{key}` is empty in {language}")
        return Text(texts["en"].strip(), _FOLDED.sub("", texts["zh"].strip()))

    def _problem(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, message))
