"""osquery's systemd_units table, and the units that startup_items lists: what systemd answers on the system D-Bus."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jeepney
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import Message
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.schema import QueryContext

_BUS_NAME = "org.freedesktop.systemd1"
_UNIT = "org.freedesktop.systemd1.Unit"
_SERVICE = "org.freedesktop.systemd1.Service"
_PROPERTIES = {
    "fragment_path": (_UNIT, "FragmentPath"),
    "source_path": (_UNIT, "SourcePath"),
    "user": (_SERVICE, "User"),
    "unit_file_state": (_UNIT, "UnitFileState"),
}
_BUS = "systemd on the system D-Bus"


class Unit(NamedTuple):
    """What ListUnits says of one loaded unit (org.freedesktop.systemd1(5)); the fields are the table's columns."""

    id: str
    description: str
    load_state: str
    active_state: str
    sub_state: str
    following: str
    object_path: str
    job_id: int
    job_type: str
    job_path: str


class _Bus:
    """Calls to systemd over an open connection; they raise OSError or DBusErrorResponse when it does not answer in time."""

    def __init__(self, connection: DBusConnection, query: QueryContext) -> None:
        self._connection = connection
        self._query = query

    def units(self) -> list[Unit]:
        manager = jeepney.DBusAddress("/org/freedesktop/systemd1", _BUS_NAME, "org.freedesktop.systemd1.Manager")
        return [Unit(*entry) for entry in self._call(jeepney.new_method_call(manager, "ListUnits"))]

    def property(self, unit: Unit, column: str) -> str:
        """The property behind a column; "" where this kind of unit has none (only services have a user)."""
        interface, name = _PROPERTIES[column]
        address = jeepney.DBusAddress(unit.object_path, _BUS_NAME, interface)
        try:
            return str(self._call(jeepney.Properties(address).get(name))[1])
        except DBusErrorResponse:
            return ""

    def _call(self, message: Message) -> Any:
        self._query.check_time()
        reply = self._connection.send_and_get_reply(message, timeout=self._query.seconds_left())
        return unwrap_msg(reply)[0]


def loaded_units(reader: Reader, query: QueryContext, columns: Iterable[str]) -> Iterator[tuple[Unit, dict[str, str]]]:
    """Yield the units in the running systemd's memory, each with its properties for `columns`.

    Where systemd cannot be asked the units end early, with a warning and a gap in the table's status; osquery logs an
    error and goes on without units too.
    """
    wanted = [column for column in _PROPERTIES if column in set(columns)]
    try:
        if not reader.host.is_live:
            raise FileNotFoundError("a mounted disk has no running systemd")
        with open_dbus_connection("SYSTEM") as connection:
            bus = _Bus(connection, query)
            for unit in bus.units():
                yield unit, {column: bus.property(unit, column) for column in wanted}
        reader.found(_BUS)
    except (OSError, ValueError, RuntimeError, DBusErrorResponse) as error:
        reader.missed(_BUS, str(error), logging.WARNING)


@core_table("systemd_units", needs_live=True)
def systemd_units(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The units loaded in the running systemd; none, with a warning, where there is no system D-Bus or no systemd on it."""
    wanted = [column for column in _PROPERTIES if query.uses(column)]
    for unit, properties in loaded_units(Reader(host, "systemd_units", query), query, wanted):
        yield {**unit._asdict(), **properties}
