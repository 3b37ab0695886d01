"""The columns in which tables of processes say in which container one runs: one wording, one reading."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, Optional, TypeVar

from tables.host import Host
from tables.host.containers.reader import container_of
from tables.schema import TEXT, QueryContext, Row, column

_FACTS = {
    "container_name": "name of the container with that id, from its runtime's files; in a pod the container's there",
    "image": "image of that container, by the name under which it was started",
    "pod": "pod of that container, as namespace/name",
}


def container_column(name: str) -> Any:
    """The field of a Row for this fact of a container."""
    return column(TEXT, _FACTS[name], on_demand=True)


RowT = TypeVar("RowT", bound=Row)
Generate = Callable[[Host, QueryContext], Iterator[RowT]]


def names_containers(generate: Generate[RowT]) -> Generate[RowT]:
    """Decorate the function of a table whose rows have these columns and container_id: it fills them in."""

    @functools.wraps(generate)
    def named(host: Host, query: QueryContext) -> Iterator[RowT]:
        is_asked = query.uses(*_FACTS)
        for row in generate(host, query):
            container_id: Optional[str] = getattr(row, "container_id", None)
            found = container_of(host, container_id) if is_asked else None
            if found is None:
                yield row
            else:
                facts: dict[str, Any] = {"container_name": found.name, "image": found.image, "pod": found.pod}
                yield dataclasses.replace(row, **facts)

    return named
