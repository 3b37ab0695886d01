"""The tables that minehunt adds to osquery: every module below a subject folder that defines a Table is one."""

from __future__ import annotations

import importlib
import pkgutil

from tables.schema import Table

# Folders that serve the tables and hold none.
_SUPPORT = frozenset({"host", "indicators"})


def discover() -> dict[str, Table]:
    """Import every table module and return its Table by name; raise TypeError for a module that breaks the layout."""
    found: dict[str, Table] = {}
    for subject in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        folder = subject.name.rpartition(".")[2]
        if not subject.ispkg or folder in _SUPPORT:
            continue
        package = importlib.import_module(subject.name)
        for entry in pkgutil.iter_modules(package.__path__, prefix=f"{subject.name}."):
            name = entry.name.rpartition(".")[2]
            table = getattr(importlib.import_module(entry.name), name, None)
            if not isinstance(table, Table) or table.name != name:
                raise TypeError(f"{entry.name} must define the table {name!r}: file name, function and table name are one")
            found[name] = table
    return dict(sorted(found.items()))
