"""What is wrong with a query's `stage`, `things` and `says`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from extension.incidents.things import KINDS
from extension.pack.parts import STAGES, Query, columns_of


def problems(query: Query, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """(The key, what its author is told) for each fault; `columns` are those that the query selects."""
    is_detection = query.kind == "detection"
    if is_detection and query.stage not in STAGES:
        told = (
            f"unknown stage {query.stage!r}" if query.stage else "a detection says what its rows are in the story of a compromise"
        )
        yield "stage", f"{told}: `stage`, one of {', '.join(STAGES)}"
    if is_detection and query.says is None:
        yield "says", "a detection says what a row is in a few words, with its values: `says`"
    if not is_detection:
        for key, value in (("stage", query.stage), ("says", query.says)):
            if value:
                yield key, f"only a detection has `{key}`"
    for kind, names in query.things.items():
        if kind not in KINDS:
            yield "things", f"unknown kind of thing `{kind}`; one of {', '.join(KINDS)}"
        for name in names:
            if name not in columns:
                yield "things", f"`things` names the column `{name}`, which the query does not select"
    for text in (query.says.en, query.says.zh) if query.says else ():
        for name in sorted(set(columns_of(text)) - set(columns)):
            yield "says", f"`says` names the column `{name}`, which the query does not select"
    if is_detection and "pid" in columns and "pid" not in query.things.get("process", ()):
        yield "things", "the detection selects a pid: `things` says so (process: pid)"
