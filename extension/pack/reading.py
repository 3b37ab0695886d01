"""Reading a file of a pack: YAML whose keys are known, with file and line of whatever is malformed."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from extension.pack.parts import LANGUAGES, Problem, Text
from extension.pack.yaml_lines import Loader, Mapping

# YAML makes a blank of a line break, and Chinese has none between its own letters nor beside its wide signs.
_WIDE_SIGNS = r"\u3001-\u303f\uff01-\uff60"
_FOLDED = re.compile(rf"(?<=[{_WIDE_SIGNS}]) | (?=[{_WIDE_SIGNS}])|(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
# A file of a pack is a few kilobytes; anything far larger is none, and is not parsed.
_MAX_FILE_BYTES = 1024 * 1024
# A folder of a pack's files, on disk or inside the one-file minehunt.ext.
Folder = Union[Path, zipfile.Path]


class FileReader:
    """Reads one file; `problems` collects what is wrong with it."""

    def __init__(self, source: Folder) -> None:
        self.source = source
        self.file = Path(str(source))
        self.problems: list[Problem] = []

    def document(self, what: str) -> Optional[Mapping]:
        """The file's mapping; None, and a problem, where it is not `what` it should be."""
        try:
            content = self.source.read_bytes()
            if len(content) > _MAX_FILE_BYTES:
                self.problem(1, f"larger than {_MAX_FILE_BYTES} bytes")
                return None
            # The loader is SafeLoader with one constructor replaced.
            document = yaml.load(content, Loader)  # noqa: S506
        except OSError as error:
            self.problem(1, f"cannot be read: {error.strerror}")
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.problem(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}")
            return None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self.problem(1, f"not valid YAML: {str(error).splitlines()[0] if str(error) else 'nested too deeply'}")
            return None
        if not isinstance(document, Mapping):
            self.problem(1, what)
            return None
        return document

    def keys(self, mapping: Mapping, wanted: tuple[str, ...], what: str, line: int = 1, optional: tuple[str, ...] = ()) -> None:
        """Note each key of `wanted` that is missing, and each that is neither wanted nor optional."""
        for key in wanted:
            if key not in mapping:
                self.problem(line, f"{what} lacks the key `{key}`")
        for key in mapping:
            if key not in wanted + optional:
                self.problem(mapping.lines[key], f"{what} has the unknown key `{key}`")

    def value(self, mapping: Mapping, key: str, kind: type[Any], default: Any) -> Any:
        """The value of a key if it is of that kind, else a problem and `default`."""
        value = mapping.get(key, default)
        # bool is an int in Python, but `interval: true` is a mistake.
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        words = {str: "a text", int: "a whole number", bool: "true or false", Mapping: "a mapping", list: "a list"}
        self.problem(mapping.lines[key], f"`{key}` must be {words[kind]}")
        return default

    def strings(self, mapping: Mapping, key: str) -> tuple[str, ...]:
        """A list of texts, none of them empty."""
        values: list[Any] = self.value(mapping, key, list, [])
        if all(isinstance(value, str) and value.strip() for value in values):
            return tuple(values)
        self.problem(mapping.lines[key], f"`{key}` must be a list of texts")
        return ()

    def text(self, mapping: Mapping, key: str) -> Text:
        """The text in both languages under a key."""
        both: Mapping = self.value(mapping, key, Mapping, Mapping())
        return self.both(both, key, mapping.lines[key]) if isinstance(mapping.get(key), Mapping) else Text("", "")

    def both(self, both: Mapping, key: str, line: int) -> Text:
        """A mapping of en and zh as a text in both languages."""
        self.keys(both, LANGUAGES, f"`{key}`", line)
        texts = {language: self.value(both, language, str, "") for language in LANGUAGES}
        for language in LANGUAGES:
            if language in both and not texts[language].strip():
                self.problem(both.lines[language], f"`{key}` is empty in {language}")
        return Text(texts["en"].strip(), _FOLDED.sub("", texts["zh"].strip()))

    def problem(self, line: int, message: str) -> None:
        """Note what is wrong, and where."""
        self.problems.append(Problem(self.file, line, message))
