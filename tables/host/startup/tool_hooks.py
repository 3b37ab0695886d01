"""What everyday tools start on the side: git's hooks, Python's start-up files, sudo's settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional

from tables.host.accounts.sudoers import read_sudoers
from tables.host.disk.files import Unreadable
from tables.host.startup.entries import NAME, SCRIPT, StartupEntry, StartupFiles
from tables.text.key_files import parse_key_file

_GIT_CONFIGS = ("/etc/gitconfig", "/usr/local/etc/gitconfig")
_HOME_GIT_CONFIGS = (".gitconfig", ".config/git/config")
_GIT_TEMPLATES = ("/usr/share/git-core/templates/hooks", "/usr/local/share/git-core/templates/hooks")
GIT_PROGRAMS = frozenset({"fsmonitor", "sshcommand", "pager", "editor"})

_PYTHON_FOLDER = re.compile(r"(?:python|pypy)3?(?:\.\d+)?t?")
_PACKAGE_FOLDERS = ("", "/dist-packages", "/site-packages")
_CUSTOMIZE = frozenset({"sitecustomize.py", "usercustomize.py"})
# site(3): such a line of a .pth file is run whenever the interpreter starts.
_IMPORT_LINE = re.compile(r"import[ \t]")

# IPython's profiles and Jupyter's configuration (their documentation).
_NOTEBOOK_FILES = (
    ".ipython/profile_default/ipython_config.py", ".ipython/profile_default/ipython_kernel_config.py",
    *(f".jupyter/jupyter_{name}_config.py" for name in ("notebook", "server", "lab")), ".jupyter/jupyter_config.py",
)  # fmt: skip
_NOTEBOOK_FOLDERS = (".ipython/profile_default/startup",)
_SYSTEM_NOTEBOOKS = ("/etc/ipython", "/etc/jupyter", "/usr/local/etc/jupyter", "/etc/jupyterhub")

# sudoers(5): settings that name a program or a library, or that let a caller bring one.
_SUDO_LOADER = re.compile(r"env_keep\b.*\b(?:LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|PYTHONPATH|PERL5LIB|BASH_ENV)\b", re.DOTALL)
_SUDO_PROGRAM = re.compile(r"(?:editor|mailerpath|env_file|restricted_env_file)[ \t]*=[ \t]*\"?([^\",\s]+)")
_SUDO_PLUGIN = re.compile(r"[ \t]*(?:Plugin[ \t]+\S+|Path[ \t]+(?:askpass|noexec|sesh))[ \t]+(\S+)")


def git_hooks(source: StartupFiles) -> Iterator[StartupEntry]:
    """Hooks that all repositories of the host or of an account run, and programs that git's settings name."""
    folders: dict[str, Optional[str]] = dict.fromkeys(_GIT_TEMPLATES)
    for user, file in [
        *((None, file) for file in source.read_each(_GIT_CONFIGS)),
        *((found.account.name, found.file) for found in source.below_homes(_HOME_GIT_CONFIGS)),
    ]:
        for setting in parse_key_file(file.text):
            key = setting.key.lower()
            value = setting.value.strip('"')
            if setting.group.lower() != "core" or not value:
                continue
            if key == "hookspath":
                if value.startswith("/"):
                    folders[value] = user
                yield StartupEntry("git_hook", "git", file, setting.line, value, NAME, user)
            elif key in GIT_PROGRAMS and value not in ("true", "false"):
                yield StartupEntry("git_hook", "git", file, setting.line, value, run_as=user)
    for folder, user in folders.items():
        for name in source.names(folder):
            hook = source.read(f"{folder}/{name}") if not name.endswith(".sample") else None
            if hook is not None and hook.status.st_mode & 0o111:
                yield StartupEntry("git_hook", "git", hook, 0, hook.path, SCRIPT, user)


def python_files(source: StartupFiles) -> dict[str, Optional[str]]:
    """The .pth files and customize modules, packaged or not, each with the account in whose home it lies."""
    places = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
    candidates: dict[str, Optional[str]] = {}
    for place, user in [
        *((place, None) for place in places),
        *((f"{account.home}/.local/lib", account.name) for account in source.accounts if ".local" in source.names(account.home)),
    ]:
        for name in source.names(place):
            if _PYTHON_FOLDER.fullmatch(name):
                for inner in _PACKAGE_FOLDERS:
                    folder = f"{place}/{name}{inner}"
                    found = [
                        f"{folder}/{entry}" for entry in source.names(folder) if entry.endswith(".pth") or entry in _CUSTOMIZE
                    ]
                    candidates.update(dict.fromkeys(found, user))
    return candidates


def python_startup(source: StartupFiles) -> Iterator[StartupEntry]:
    """What every start of the system's Python runs: lines of .pth files and the customize modules that no package owns.

    Also the configuration of IPython and Jupyter, which is code.
    """
    for found in source.below_homes(_NOTEBOOK_FILES, _NOTEBOOK_FOLDERS):
        if found.path.endswith(".py"):
            yield StartupEntry("python_startup", "notebook", found.file, 0, found.file.path, NAME, found.account.name)
    for shared in source.in_folders(_SYSTEM_NOTEBOOKS, ".py"):
        yield StartupEntry("python_startup", "notebook", shared, 0, shared.path, NAME)
    candidates = python_files(source)
    for path in source.unpackaged(candidates):
        file = source.read(path)
        if file is None:
            continue
        if not path.endswith(".pth"):
            yield StartupEntry("python_startup", "python", file, 0, file.path, NAME, candidates[path])
            continue
        for number, line in enumerate(file.text.split("\n"), 1):
            if _IMPORT_LINE.match(line):
                yield StartupEntry("python_startup", "python", file, number, line.strip(), NAME, candidates[path])


def sudo_settings(source: StartupFiles) -> Iterator[StartupEntry]:
    """Programs and plug-ins that sudo's settings name, and variables of the dynamic loader that it hands on."""
    try:
        defaults = read_sudoers(source.files).defaults
    except Unreadable as error:
        source.query.could_not_see(str(error))
        defaults = ()
    for entry in defaults:
        found = source.read(entry.path)
        if found is None:
            continue
        for setting in entry.settings:
            if _SUDO_LOADER.match(setting):
                yield StartupEntry("sudoers", "sudo", found, entry.line, setting, NAME, "root")
            program = _SUDO_PROGRAM.match(setting)
            for path in program[1].split(":") if program else ():
                yield StartupEntry("sudoers", "sudo", found, entry.line, path, run_as="root")
    for file in source.read_each(["/etc/sudo.conf"]):
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _SUDO_PLUGIN.match(line)
            if match:
                yield StartupEntry("sudoers", "sudo", file, number, match[1], NAME, "root", program=match[1])
