"""The files that shells and logins read before the user types anything."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tables.host.startup.entries import SCRIPT, StartupEntry, StartupFiles

# bash(1), zsh(1) as Debian, EL, SUSE and Arch build them, dash(1), sshd(8), Xsession(5).
_SYSTEM_FILES = {
    "/etc/profile": "login shell",
    "/etc/profile.local": "login shell",
    "/etc/bash.bashrc": "interactive shell",
    "/etc/bash.bashrc.local": "interactive shell",
    "/etc/bash/bashrc": "interactive shell",
    "/etc/bash.bash_logout": "logout",
    "/etc/bashrc": "interactive shell",
    "/etc/csh.cshrc": "any shell",
    "/etc/csh.login": "login shell",
    "/etc/ksh.kshrc": "interactive shell",
    "/etc/fish/config.fish": "any shell",
    "/etc/ssh/sshrc": "SSH login",
    **{
        f"{folder}/{name}": trigger
        for folder in ("/etc", "/etc/zsh")
        for name, trigger in (
            ("zshenv", "any shell"),
            ("zprofile", "login shell"),
            ("zshrc", "interactive shell"),
            ("zlogin", "login shell"),
            ("zlogout", "logout"),
        )
    },
}
_SYSTEM_FOLDERS = (
    ("/etc/profile.d", (".sh", ".csh"), "login shell"),
    ("/etc/bashrc.d", (".sh",), "interactive shell"),
    ("/etc/bash/bashrc.d", (".sh", ".bash"), "interactive shell"),
    ("/etc/bash_completion.d", ("",), "interactive shell"),
    ("/etc/fish/conf.d", (".fish",), "any shell"),
    ("/etc/X11/Xsession.d", ("",), "desktop login"),
    ("/etc/X11/xinit/xinitrc.d", ("",), "desktop login"),
)
_HOME_FILES = {
    ".bashrc": "interactive shell",
    ".bash_aliases": "interactive shell",
    ".bash_profile": "login shell",
    ".bash_login": "login shell",
    ".bash_logout": "logout",
    ".profile": "login shell",
    ".cshrc": "any shell",
    ".tcshrc": "any shell",
    ".login": "login shell",
    ".kshrc": "interactive shell",
    ".mkshrc": "interactive shell",
    ".shrc": "interactive shell",
    ".zshenv": "any shell",
    ".zprofile": "login shell",
    ".zshrc": "interactive shell",
    ".zlogin": "login shell",
    ".zlogout": "logout",
    ".config/fish/config.fish": "any shell",
    ".ssh/rc": "SSH login",
    ".xprofile": "desktop login",
    ".xinitrc": "desktop login",
    ".xsession": "desktop login",
    ".xsessionrc": "desktop login",
}
# Folders of further such files: Fedora's skeleton sources the first.
_HOME_FOLDERS = {
    ".bashrc.d": "interactive shell",
    ".config/fish/conf.d": "any shell",
    ".config/plasma-workspace/env": "desktop login",
}
_SKELETON = "/etc/skel"


def profile(source: StartupFiles) -> Iterator[StartupEntry]:
    """What the shells of all users read: one entry a file."""
    for path, trigger in _SYSTEM_FILES.items():
        file = source.read(path)
        if file is not None:
            yield StartupEntry("profile", trigger, file, 0, file.path, SCRIPT)
    for folder, endings, trigger in _SYSTEM_FOLDERS:
        for file in source.in_folders([folder], *endings):
            # The patterns that name these files (*.sh) match no name with a dot in front.
            hidden = "a dot file, which the pattern of the folder leaves out" if _is_hidden(file.path) else None
            yield StartupEntry("profile", trigger, file, 0, file.path, SCRIPT, disabled_why=hidden)


def shell_rc(source: StartupFiles) -> Iterator[StartupEntry]:
    """What the shells and sessions of one account read, service accounts included: one entry a file.

    Left out are copies of the skeleton files (useradd(8)) that every new home gets, and files without any command. The skeleton
    files themselves are entries, so that a copy is not left out for a command that nobody has seen.
    """
    skeleton = set()
    for file in source.in_folders([_SKELETON], ""):
        skeleton.add(file.sha256)
        if os.path.basename(file.path) in _HOME_FILES and file.text.strip():
            yield StartupEntry("shell_rc", "new account", file, 0, file.path, SCRIPT)
    for account, path, file in source.below_homes(_HOME_FILES, _HOME_FOLDERS):
        if file.sha256 is not None and (file.sha256 in skeleton or not file.text.strip()):
            continue
        trigger = _HOME_FILES.get(path) or _HOME_FOLDERS[os.path.dirname(path)]
        yield StartupEntry("shell_rc", trigger, file, 0, file.path, SCRIPT, account.name, home=account.home)


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")
