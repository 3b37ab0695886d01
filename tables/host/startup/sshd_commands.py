"""What OpenSSH's server starts for a login by its settings (sshd_config(5))."""

from __future__ import annotations

from collections.abc import Iterator

from tables.host.disk.files import Unreadable
from tables.host.ssh.sshd_config import effective
from tables.host.ssh.sshd_settings import Setting
from tables.host.startup.entries import StartupEntry, StartupFiles

_COMMANDS = frozenset({"authorizedkeyscommand", "authorizedprincipalscommand", "forcecommand"})
_SUBSYSTEM = "subsystem"
# What sshd does itself, or not at all.
_BUILT_IN = ("internal-sftp", "none")


def command_of(setting: Setting) -> str:
    """The command line that the setting has sshd start; "" where it starts nothing."""
    value = setting.value
    if setting.keyword == _SUBSYSTEM:
        # Name, program, arguments.
        value = value.split(None, 1)[1] if len(value.split(None, 1)) == 2 else ""
    elif setting.keyword not in _COMMANDS:
        return ""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"')
    return "" if value.startswith(_BUILT_IN) else value


def sshd_commands(source: StartupFiles) -> Iterator[StartupEntry]:
    """ForceCommand, Subsystem and the commands that look up keys, outside of Match blocks and in them."""
    try:
        config = effective(source.files)
    except Unreadable as error:
        source.query.could_not_see(str(error))
        return
    source.query.take(config.unseen)
    settings = [setting for found in config.settings.values() for setting in found]
    for setting in (*settings, *(setting for block in config.matches for setting in block.settings)):
        command = command_of(setting)
        file = source.read(setting.path) if command and setting.path else None
        if file is not None:
            yield StartupEntry("sshd", "SSH login", file, setting.line or 0, command)
