"""When the queries of a pack of events run: the file discovery.yaml, and which of its entries a query falls under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extension.pack.parts import Discovery, Pack, Problem, Query
from extension.pack.reading import FileReader, Folder
from extension.pack.yaml_lines import Mapping

DISCOVERY = "discovery.yaml"
_KEYS = ("tables", "sql")


def read_discovery(files: Sequence[Folder]) -> tuple[dict[str, Discovery], list[Problem]]:
    """The entries by name, and what is wrong with their file; none where the pack has no such file."""
    found: dict[str, Discovery] = {}
    problems: list[Problem] = []
    for file in files:
        reader = FileReader(file)
        document = reader.document("a mapping of entries, each with the keys " + ", ".join(_KEYS))
        for name, body in (document or {}).items():
            assert document is not None
            if not isinstance(body, Mapping):
                reader.problem(document.lines[name], f"{name!r} must be a mapping")
                continue
            reader.keys(body, _KEYS, repr(name), document.lines[name])
            tables, sql = reader.strings(body, "tables"), reader.value(body, "sql", str, "")
            found[name] = Discovery(tables, sql, document.lines[name])
        problems += reader.problems
    return found, problems


def entry_of(pack: Pack, query: Query) -> str:
    """The name of the entry whose tables the query reads; "" where it reads none, or those of several."""
    names = [name for name, entry in pack.discovery.items() if not query.tables.isdisjoint(entry.tables)]
    return names[0] if len(names) == 1 else ""


def undiscovered(pack: Pack) -> Iterator[Query]:
    """The queries of a pack of events that no single entry speaks for."""
    return (query for query in pack.queries() if pack.discovery and not entry_of(pack, query))
