"""The scriptlets that rpm keeps in its database and runs when packages are upgraded, removed or triggered."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.errors import TableError
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.footprint import file_key
from tables.host.disk.start_files import StartFile
from tables.host.packages import rpm_database
from tables.host.startup.entries import StartupEntry, StartupFiles
from tables.host.startup.package_scripts import is_worth_parsing
from tables.text.programs import SHELLS

# rpm's rpmtag.h: a script, its interpreter; those of triggers are lists with an interpreter each.
_NAME = 1000
_SCRIPTS = {
    "pre": (1023, 1085),
    "post": (1024, 1086),
    "preun": (1025, 1087),
    "postun": (1026, 1088),
    "pretrans": (1151, 1153),
    "posttrans": (1152, 1154),
    "trigger": (1065, 1092),
    "filetrigger": (5066, 5067),
    "transfiletrigger": (5076, 5077),
}
_TAGS = frozenset({_NAME, *(tag for tags in _SCRIPTS.values() for tag in tags)})
_LIMIT = 256 * 1024
_MAX_KEPT = 500


class Scriptlet(NamedTuple):
    """One scriptlet: the package, when it is run (`postun`), its shell text."""

    package: str
    kind: str
    text: str


class RpmScriptlets:
    """The scriptlets of one host's database that may be worth a look, read anew when the database has changed."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._stamp: object = None
        self._kept: tuple[Scriptlet, ...] = ()

    def of(self, database: str) -> tuple[Scriptlet, ...]:
        """Those of the database at `database`, at most 500; TableError or OSError when it cannot be read."""
        stamp = file_key(self.files.stat(database))
        with self._lock:
            if stamp == self._stamp:
                return self._kept
        kept: list[Scriptlet] = []
        for header in rpm_database.headers(self.files, database):
            for one in scriptlets(rpm_database.parse_header(header, _TAGS)):
                if len(kept) < _MAX_KEPT and is_worth_parsing(one.text):
                    kept.append(one)
        with self._lock:
            self._stamp, self._kept = stamp, tuple(kept)
        return self._kept


def scriptlets(header: dict[int, rpm_database.Values]) -> Iterator[Scriptlet]:
    """The scriptlets for shells in a package header, each cut at 256 KiB; rpm's own Lua, which starts little, is left out."""
    package = str(header.get(_NAME, [""])[0])
    for kind, (script, interpreter) in _SCRIPTS.items():
        programs = header.get(interpreter, [])
        for index, text in enumerate(header.get(script, [])):
            program = str(programs[min(index, len(programs) - 1)]) if programs else "/bin/sh"
            if program.rpartition("/")[2] in SHELLS and isinstance(text, str):
                yield Scriptlet(package, kind, text[:_LIMIT])


def rpm_scriptlets(source: StartupFiles) -> Iterator[StartupEntry]:
    """Those of rpm's scriptlets that may start something of their own; the file is the database, the command names them."""
    database = rpm_database.find(source.files)
    if database is None:
        return
    known: RpmScriptlets = source.state("rpm scriptlets", lambda: RpmScriptlets(source.files))
    try:
        found = known.of(database)
        status = source.files.stat(database)
    except (TableError, Unreadable) as error:
        source.query.could_not_see(str(error))
        return
    if len(found) == _MAX_KEPT:
        source.query.truncate(f"{database}: only the first {_MAX_KEPT} scriptlets were looked into")
    for one in found:
        digest: Optional[str] = hashlib.sha256(one.text.encode("utf-8", "surrogateescape")).hexdigest()
        file = StartFile(database, one.text, status, digest)
        command = f"%{one.kind} of {one.package}"
        yield StartupEntry("package_hook", "package operation", file, 0, command, run_as="root", judged=one.text)
