"""osquery's startup_items table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.accounts import accounts
from extension.engines.core.reading import Reader, split
from extension.engines.core.systemd import loaded_units
from tables.host import Host
from tables.schema import QueryContext

_SCRIPTS = "/etc/init.d/"
_AUTOSTART = "/etc/xdg/autostart/"


def parse_desktop_entry(text: str) -> dict[str, str]:
    """`name` and `path` of a .desktop file: its Name and Exec, as far as osquery reads them (no value with another `=`)."""
    found = {}
    for line in split(text, "\n"):
        for key, column in (("Name=", "name"), ("Exec=", "path")):
            parts = split(line, "=")
            if line.startswith(key) and len(parts) == 2:
                found[column] = parts[1]
    return found


def _owner(folder: str) -> Optional[str]:
    """The user of a folder below /home; osquery names no other."""
    parts = split(folder, "/")
    return parts[1] if len(parts) > 1 and parts[0] == "home" else None


def _item(folder: str) -> CoreRow:
    return {"type": "Startup Item", "status": "enabled", "source": folder, "username": _owner(folder)}


def _scripts(reader: Reader, folder: str) -> Iterator[CoreRow]:
    for path in reader.listing(folder):
        yield {**_item(folder), "name": os.path.basename(path), "path": path}


def _autostart(reader: Reader, folder: str) -> Iterator[CoreRow]:
    for path in reader.listing(folder):
        yield {**_item(folder), **parse_desktop_entry(reader.text(path))}


@core_table("startup_items")
def startup_items(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """Users' and the system's autostart entries, the scripts in /etc/init.d, and the units loaded in systemd.

    Every script counts as enabled; `status` of a unit is its active state.
    """
    reader = Reader(host, "startup_items", query)
    for home in sorted({account.home for account in accounts(reader) if account.home.startswith("/")}):
        yield from _autostart(reader, f"{home}/.config/autostart/")
        yield from _scripts(reader, f"{home}/.config/autostart-scripts/")
    yield from _scripts(reader, _SCRIPTS)
    yield from _autostart(reader, _AUTOSTART)
    for unit, properties in loaded_units(reader, query, ("fragment_path", "source_path", "user")):
        yield {
            "name": unit.id, "type": "systemd unit", "status": unit.active_state, "path": properties["fragment_path"],
            "source": properties["source_path"], "username": properties["user"],
        }  # fmt: skip
