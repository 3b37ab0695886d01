"""The one loader of YAML that others write: PyYAML's own, in Python, for documents that nest within bounds.

libyaml's loader (yaml.CSafeLoader) calls itself for every level, and ends the process where the stack does; PyYAML looks at
every open bracket for every token. Importing this module imports yaml, which start-up does not need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Union

import yaml

MAX_DEPTH = 64
TOO_DEEP = "nested too deeply"


class BoundedLoader(yaml.SafeLoader):
    """yaml.SafeLoader that raises yaml.scanner.ScannerError, with its line, for more than 64 levels of one kind."""

    def add_indent(self, column: int) -> bool:
        """Open a block where the text is indented deeper."""
        self._check_depth(len(self.indents))
        return bool(super().add_indent(column))

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803  # PyYAML's name
        """Open a bracket."""
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(TokenClass)

    def _check_depth(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise yaml.scanner.ScannerError(None, None, TOO_DEEP, self.get_mark())


def load(text: Union[str, bytes]) -> Any:
    """The value of the one document in `text`, None for an empty one; yaml.YAMLError or ValueError for what is none."""
    return yaml.load(text, BoundedLoader)  # noqa: S506  # derived from the safe loader


def load_all(text: Union[str, bytes]) -> Iterator[Any]:
    """The values of the documents in `text`, one after the other; likewise, as soon as the one at fault is asked for."""
    yield from yaml.load_all(text, BoundedLoader)  # derived from the safe loader


def compose(text: Union[str, bytes]) -> Any:
    """The nodes of the one document in `text`, which know their lines and are all text; likewise."""
    return yaml.compose(text, BoundedLoader)
