"""What process supervisors start and keep running by their configuration: supervisord, monit, pm2."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Optional

from tables.host.disk.start_files import StartFile
from tables.host.startup.entries import StartupEntry, StartupFiles
from tables.text.lenient_json import parse_json
from tables.text.lines import unquoted

_SUPERVISORD = ("/etc/supervisor/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor.conf")
_SUPERVISORD_FOLDERS = ("/etc/supervisor/conf.d", "/etc/supervisord.d", "/etc/supervisor.d", "/etc/supervisord/conf.d")
_SECTION = re.compile(r"\[(program|eventlistener|fcgi-program):[^\]\n]{1,1000}\]")
_KEY = re.compile(r"(command|autostart|user)[ \t]*[=:][ \t]*(.*)", re.IGNORECASE)
_MONIT = ("/etc/monit/monitrc", "/etc/monitrc", "/etc/monit.conf")
_MONIT_FOLDERS = ("/etc/monit/conf.d", "/etc/monit/conf-enabled", "/etc/monit.d")
_MONIT_COMMAND = re.compile(
    r"\b(?:(?:start|stop|restart)(?:[ \t]+program)?(?:[ \t]*=)?|exec|check[ \t]+program[ \t]+\S+[ \t]+(?:with[ \t]+)?path)"
    r"[ \t]+(\"[^\"\n]*\"|'[^'\n]*'|/\S+)",
    re.IGNORECASE,
)
_PM2_DUMPS = (".pm2/dump.pm2",)
_MAX_PM2_PROGRAMS = 1000


def parse_supervisord(text: str) -> Iterator[tuple[int, str, Optional[str], bool]]:
    """Yield (line, command, account, whether it is started by itself) of each program of supervisord's configuration."""
    found: dict[str, tuple[int, str]] = {}
    inside = False
    for number, line in enumerate([*text.split("\n"), "[end]"], 1):
        if line.startswith("["):
            if inside and "command" in found:
                user = found.get("user", (0, ""))[1] or None
                yield *found["command"], user, found.get("autostart", (0, ""))[1].lower() not in ("false", "off", "no", "0")
            inside, found = _SECTION.match(line) is not None, {}
        match = _KEY.match(line) if inside else None
        if match and match[2].strip():
            # A blank and a semicolon begin a comment.
            found[match[1].lower()] = number, re.split(r"\s;", match[2], maxsplit=1)[0].strip()


def parse_monit(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of what monit's configuration starts."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.lstrip().startswith("#"):
            commands = (unquoted(match[1]).strip() for match in _MONIT_COMMAND.finditer(line))
            yield from ((number, command) for command in commands if command)


def parse_pm2_dump(text: str) -> list[str]:
    """The command lines of the programs in pm2's dump; ValueError where it is no JSON."""
    listed = parse_json(text)
    commands = []
    for program in listed if isinstance(listed, list) else ():
        settings = program if isinstance(program, dict) else {}
        path = settings.get("pm_exec_path")
        if not isinstance(path, str) or not path:
            continue
        interpreter = settings.get("exec_interpreter")
        arguments = settings.get("args")
        words = [path, *(word for word in (arguments if isinstance(arguments, list) else [arguments]) if isinstance(word, str))]
        # Only its name: managers of versions keep interpreters in dot folders.
        if isinstance(interpreter, str) and interpreter not in ("", "none"):
            words.insert(0, interpreter.rpartition("/")[2])
        commands.append(shlex.join(words))
    return commands


def supervised_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """The programs of supervisord, of monit, and of every account's pm2."""
    for file in source.read_each([*_SUPERVISORD, *_listed(source, _SUPERVISORD_FOLDERS, (".conf", ".ini"))]):
        for number, command, user, is_started in parse_supervisord(file.text):
            why = None if is_started else "autostart is off"
            yield StartupEntry("supervisor", "boot", file, number, command, run_as=user or "root", disabled_why=why)
    for file in source.read_each([*_MONIT, *_listed(source, _MONIT_FOLDERS, ("",))]):
        for number, command in parse_monit(file.text):
            yield StartupEntry("supervisor", "monit", file, number, command, run_as="root")
    for account, _, file in source.below_homes(_PM2_DUMPS):
        yield from _pm2(source, file, account.name, account.home)


def _listed(source: StartupFiles, folders: tuple[str, ...], endings: tuple[str, ...]) -> list[str]:
    return [path for folder in folders for path in source.paths(folder) if path.endswith(endings)]


def _pm2(source: StartupFiles, file: StartFile, user: str, home: str) -> Iterator[StartupEntry]:
    try:
        commands = parse_pm2_dump(file.text)
    except ValueError as error:
        source.query.could_not_see(f"{file.path}: {error}")
        return
    if len(commands) > _MAX_PM2_PROGRAMS:
        source.query.truncate(f"{file.path}: only the first {_MAX_PM2_PROGRAMS} programs are shown")
    for command in commands[:_MAX_PM2_PROGRAMS]:
        yield StartupEntry("supervisor", "pm2", file, 1, command, run_as=user, home=home)
