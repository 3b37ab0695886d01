"""What package managers of languages run of a project's own file: npm's, yarn's and Composer's scripts, setup.py."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.text.lenient_json import parse_json

_NODE = frozenset({"npm", "yarn", "pnpm", "bun", "cnpm"})
_BEGINNINGS = frozenset({"npm", "yar", "pnp", "bun", "cnp", "com", "pip"})
_FOLDER_OPTIONS = ("--prefix", "--cwd", "-C", "--dir", "--working-dir", "-d")
_INSTALLS = frozenset({"install", "i", "ci", "add", "update", "rebuild", "require", "create-project", "dump-autoload"})
_NODE_INSTALL = ("preinstall", "install", "postinstall", "prepare")
_COMPOSER_INSTALL = ("pre-install-cmd", "post-install-cmd", "pre-update-cmd", "post-update-cmd", "post-autoload-dump")
# Subcommands that are scripts of the same name, and those that take one.
_SAME_NAME = frozenset({"start", "stop", "restart", "test"})
_RUN = frozenset({"run", "run-script"})
_MAX_TEXT = 64 * 1024


class Project(NamedTuple):
    """A project's file, relative to the folder at hand, and the names of its scripts that are run; () where it is code."""

    path: str
    scripts: tuple[str, ...]


def project_run(name: str, arguments: Sequence[str]) -> Optional[Project]:
    """What the package manager `name` runs with these arguments; None where that is nothing of a project's own."""
    if name[:3] not in _BEGINNINGS or (name not in _NODE and name != "composer" and not name.startswith("pip")):
        return None
    folder, words = _without_folder(arguments)
    verb = words[0] if words else ""
    if name.startswith("pip"):
        local = next((word for word in words[1:] if word == "." or word.startswith(("./", "/", "../"))), None)
        return Project(posixpath.join(local, "setup.py"), ()) if verb == "install" and local else None
    if verb in _RUN and len(words) > 1:
        verb, is_script = words[1], True
    else:
        # yarn and Composer take a script's name for a subcommand.
        is_script = verb in _SAME_NAME or (name in ("yarn", "composer") and bool(verb) and verb not in _INSTALLS)
    path = posixpath.join(folder, "composer.json" if name == "composer" else "package.json")
    if is_script:
        return Project(path, (f"pre{verb}", verb, f"post{verb}"))
    if verb in _INSTALLS or (name == "yarn" and not verb):
        return Project(path, _COMPOSER_INSTALL if name == "composer" else _NODE_INSTALL)
    return None


def _without_folder(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The folder that an option names, "" without one, and the words that are no options."""
    folder, words = "", []
    index = 0
    while index < len(arguments):
        name, equals, value = arguments[index].partition("=")
        index += 1
        if name in _FOLDER_OPTIONS:
            if not equals:
                value = arguments[index] if index < len(arguments) else ""
                index += 1
            folder = value
        elif not name.startswith("-"):
            words.append(arguments[index - 1])
    return folder, words


def project_scripts(text: str, names: Sequence[str]) -> str:
    """The scripts of these names in a package.json or composer.json, as shell text, one a line; "" where there are none."""
    return "\n".join(_commands(text[:_MAX_TEXT], names))


def _commands(text: str, names: Sequence[str]) -> Iterator[str]:
    try:
        found = parse_json(text)
    except ValueError:
        return
    scripts = found.get("scripts") if isinstance(found, dict) else None
    if not isinstance(scripts, dict):
        return
    for name in names:
        given = scripts.get(name)
        for command in given if isinstance(given, list) else [given]:
            # `@php artisan …` and `Class::method` are Composer's own.
            if isinstance(command, str) and "::" not in command:
                yield command.removeprefix("@").removeprefix("putenv ").replace("\n", " ")
