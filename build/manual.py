"""Build the manual pages and shell completions of the command line, for the packages."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from build.deliver import BuildError
from build.extension import LEFT_OUT
from extension import __version__
from extension.cli import COMMANDS
from extension.cli import main as command_line

_TITLE = re.compile(r'^\.TH "([^"]*)" .*$', re.MULTILINE)
# Where each shell looks for what completes a command.
_SHELLS: dict[str, tuple[type[ShellComplete], str]] = {
    "bash": (BashComplete, "/usr/share/bash-completion/completions/minehunt"),
    "zsh": (ZshComplete, "/usr/share/zsh/site-functions/_minehunt"),
    "fish": (FishComplete, "/usr/share/fish/vendor_completions.d/minehunt.fish"),
}


def completions() -> dict[str, str]:
    """The files by their path on the host; they ask `minehunt` itself, which knows commands, options, queries and tables."""
    found = {}
    for shell, target in _SHELLS.values():
        # Without asking the shell of this machine for its version.
        found[target] = ShellComplete.source(shell(command_line, {}, "minehunt", "_MINEHUNT_COMPLETE"))
    return found


def pages() -> dict[str, str]:
    """The manual pages of the subcommands by their path on the host; that of `minehunt` itself is written by hand."""
    try:
        from click_man.core import write_man_pages
    except ModuleNotFoundError:
        raise BuildError("click-man: not installed; make setup of the development tools brings it (make dist does)") from None
    root = click.Group("minehunt", commands=_commands(), help=command_line.help)
    with tempfile.TemporaryDirectory(prefix="minehunt-build-") as folder:
        write_man_pages("minehunt", root, version=__version__, target_dir=folder)
        found = {
            f"/usr/share/man/man1/{path.name}": _undated(path.read_text(encoding="utf-8"))
            for path in sorted(Path(folder).glob("minehunt-*.1"))
        }
    if not found:
        raise BuildError("click-man: wrote no page")
    return found


def _undated(page: str) -> str:
    """The page without the day of its making: the same bytes for the same commit."""
    return _TITLE.sub(rf'.TH "\1" "1" "" "minehunt {__version__}" "User Commands"', page)


def _commands() -> dict[str, click.Command]:
    """The subcommands that minehunt.ext, which is what the packages have for a program, carries."""
    context = click.Context(command_line)
    found = {}
    for name in command_line.list_commands(context):
        module = COMMANDS.get(name, ("extension.cli", ""))[0].replace(".", "/") + ".py"
        command = None if module.startswith(LEFT_OUT) else command_line.get_command(context, name)
        if command is not None:
            found[name] = command
    return found
