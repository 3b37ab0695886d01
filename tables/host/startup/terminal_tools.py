"""What editors and terminal multiplexers run when they start: vim, tmux, screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tables.host.startup.entries import StartupEntry, StartupFiles
from tables.text.lines import logical_lines, unquoted

_VIM = ("/etc/vim/vimrc", "/etc/vim/vimrc.local", "/etc/vimrc", "/etc/vimrc.local", "/etc/xdg/nvim/sysinit.vim", "/etc/virc")
_HOME_VIM = (".vimrc", ".vim/vimrc", ".exrc", ".gvimrc", ".config/nvim/init.vim", ".config/nvim/init.lua")
_HOME_VIM_FOLDERS = (".vim/plugin", ".vim/after/plugin", ".vim/autoload", ".config/nvim/plugin")
_TMUX, _HOME_TMUX = ("/etc/tmux.conf",), (".tmux.conf", ".config/tmux/tmux.conf")
_SCREEN, _HOME_SCREEN = ("/etc/screenrc",), (".screenrc",)

# `:!command`, also behind an autocommand or a mapping, and the functions that start programs, in vim script and in Lua.
_VIM_BANG = re.compile(r"(?:^|[:|>]|\*\s|\bsilent!?[ \t])[ \t]*!(?!=)[ \t]*([^\s!=].*)")
_VIM_CALL = re.compile(
    r"\b(?:system(?:list)?|job_?start|term_start|os\.execute|io\.popen)[ \t]*\([ \t]*(\"(?:\\.|[^\"\\])*\"|'(?:''|[^'])*')"
)
# The commands and their short forms; -b, -d and the like may stand before the command.
_TMUX_RUN = re.compile(r"(?:^|[;{]|\bthen[ \t]|['\"])[ \t]*(?:run-shell|run|if-shell|if)[ \t]+((?:-\w+[ \t]+)*)(\S.*)")
_TMUX_FORMAT = re.compile(r"#\(([^()\n]{1,4096})\)")
_SCREEN_RUN = re.compile(r"[ \t]*(?:exec|screen|backtick[ \t]+\d+[ \t]+\d+[ \t]+\d+)[ \t]+(\S.*)")
_SCREEN_OPTIONS = re.compile(r"(?:-[tTh][ \t]+(?:\"[^\"]*\"|'[^']*'|\S+)|-\w+|\d+|[.!:]{1,4}(?=[ \t]))[ \t]+")


def parse_vim(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of what a vim script, or a Lua one of neovim's, has a shell run."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(('"', "--")):
            continue
        bang = _VIM_BANG.search(line)
        if bang:
            yield number, bang[1].removesuffix("<CR>").strip()
        for match in _VIM_CALL.finditer(line):
            if len(match[1]) > 2:
                yield number, match[1][1:-1].replace('\\"', '"').replace("''", "'")


def parse_tmux(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of run-shell, if-shell and `#(command)` in tmux's configuration (tmux(1))."""
    for number, line in logical_lines(text):
        if line.lstrip().startswith("#"):
            continue
        run = _TMUX_RUN.search(line)
        if run:
            yield number, _first_word(run[2])
        yield from ((number, match[1].strip()) for match in _TMUX_FORMAT.finditer(line) if match[1].strip())


def parse_screen(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of exec, screen and backtick in screen's configuration (screen(1))."""
    for number, line in enumerate(text.split("\n"), 1):
        run = _SCREEN_RUN.match(line)
        if run:
            command, start = run[1].strip(), 0
            while (option := _SCREEN_OPTIONS.match(command, start)) is not None:
                start = option.end()
            # A bare number or option is a window with a shell.
            if command[start:] and not re.fullmatch(r"\d+|-\w*", command[start:]):
                yield number, command[start:]


def terminal_tools(source: StartupFiles) -> Iterator[StartupEntry]:
    """The commands in the start-up files of vim, tmux and screen, the system's and every account's."""
    yield from _of(source, parse_vim, "editor", _VIM, _HOME_VIM, _HOME_VIM_FOLDERS)
    yield from _of(source, parse_tmux, "tmux", _TMUX, _HOME_TMUX)
    yield from _of(source, parse_screen, "screen", _SCREEN, _HOME_SCREEN)


def _of(
    source: StartupFiles,
    parser: Callable[[str], Iterator[tuple[int, str]]],
    trigger: str,
    files: tuple[str, ...],
    home_files: tuple[str, ...],
    home_folders: tuple[str, ...] = (),
) -> Iterator[StartupEntry]:
    for file in source.read_each(files):
        for number, command in source.first(parser(file.text), file):
            yield StartupEntry("terminal_tool", trigger, file, number, command)
    for account, _, file in source.below_homes(home_files, home_folders):
        for number, command in source.first(parser(file.text), file):
            yield StartupEntry("terminal_tool", trigger, file, number, command, run_as=account.name, home=account.home)


def _first_word(text: str) -> str:
    """The first argument of a tmux command, quotes removed; all of it where it is not quoted."""
    quote = text[0]
    if quote not in "'\"":
        return text.strip()
    end = text.find(quote, 1)
    while quote == '"' and end > 0 and text[end - 1] == "\\":
        end = text.find(quote, end + 1)
    return unquoted(text[: end + 1]).replace('\\"', '"') if end > 0 else text[1:]
