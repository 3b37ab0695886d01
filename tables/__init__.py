"""The tables that minehunt adds to osquery: every module below a subject folder that defines a Table is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from tables.schema import Table

# Folders that serve the tables and hold none.
_SUPPORT = frozenset({"host", "indicators", "reasons", "text"})


def modules() -> dict[str, str]:
    """The module that defines each table, by the table's name, in order; nothing is imported but the subject folders."""
    return {name.rpartition(".")[2]: name for name in sorted(_modules(), key=lambda name: name.rpartition(".")[2])}


def _modules() -> Iterator[str]:
    for subject in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        if subject.ispkg and subject.name.rpartition(".")[2] not in _SUPPORT:
            package = importlib.import_module(subject.name)
            yield from (entry.name for entry in pkgutil.iter_modules(package.__path__, prefix=f"{subject.name}."))


def discover() -> dict[str, Table]:
    """Import every table module and return its Table by name; raise TypeError for a module that breaks the layout."""
    found: dict[str, Table] = {}
    for name, module in modules().items():
        table = getattr(importlib.import_module(module), name, None)
        if not isinstance(table, Table) or table.name != name:
            raise TypeError(f"{module} must define the table {name!r}: file name, function and table name are one")
        found[name] = table
    return found


def indexed() -> dict[str, Table]:
    """The tables by the index of a built extension, their modules imported when first used; as `discover` where there is none."""
    from tables import index

    try:
        data = pkgutil.get_data(__name__, index.FILE)
    except OSError:
        return discover()
    return index.read_index(data)
