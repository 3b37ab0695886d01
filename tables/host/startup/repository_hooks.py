"""Hooks and settings of single git repositories, where services and their accounts keep what they deploy (githooks(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from tables.host.startup.entries import SCRIPT, StartupEntry, StartupFiles
from tables.host.startup.tool_hooks import GIT_PROGRAMS
from tables.text.key_files import parse_key_file

_PLACES = ("/opt", "/srv", "/srv/git", "/srv/www", "/var/www", "/var/lib/git", "/usr/local/src", "/usr/src")
# In one place; who fills one takes nothing from the others.
_MAX_FOLDERS = 300


def repository_hooks(source: StartupFiles) -> Iterator[StartupEntry]:
    """What the repositories directly in homes and in services' places have git run; etckeeper's /etc too."""
    for folder, user, home in _repositories(source):
        for file in source.read_each([f"{folder}/config"]):
            for setting in source.first(parse_key_file(file.text), file):
                value = setting.value.strip('"')
                if setting.group.lower() == "core" and setting.key.lower() in GIT_PROGRAMS and value not in ("", "true", "false"):
                    yield StartupEntry("git_hook", "git", file, setting.line, value, run_as=user, home=home)
        for name in source.names(f"{folder}/hooks"):
            hook = source.read(f"{folder}/hooks/{name}") if not name.endswith(".sample") else None
            if hook is not None and hook.status.st_mode & 0o111:
                yield StartupEntry("git_hook", "git", hook, 0, hook.path, SCRIPT, user, home=home)


def _repositories(source: StartupFiles) -> Iterator[tuple[str, Optional[str], Optional[str]]]:
    """The git folder of each repository, with the account in whose home it lies, and that home."""
    places: list[tuple[str, Optional[str], Optional[str]]] = [("/etc", None, None), *((place, None, None) for place in _PLACES)]
    places += [(account.home, account.name, account.home) for account in source.accounts if account.home != "/"]
    seen: set[str] = set()
    for place, user, home in places:
        inside = source.paths(place) if place != "/etc" else []
        if len(inside) > _MAX_FOLDERS:
            # The account bin has thousands of programs in its home, and no folder.
            inside = [path for path in inside if source.files.is_folder(path)]
        if len(inside) > _MAX_FOLDERS:
            source.query.truncate(f"{place}: only the first {_MAX_FOLDERS} folders were searched for git repositories")
        for folder in (place, *inside[:_MAX_FOLDERS]):
            # A bare repository is its own git folder.
            git = next((path for path in (f"{folder}/.git", folder) if source.exists(f"{path}/HEAD")), None)
            if git is not None and git not in seen:
                seen.add(git)
                yield git, user, home
