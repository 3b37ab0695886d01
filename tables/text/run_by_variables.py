"""Which code variables have shells, interpreters and other tools run or load before, or beside, what they were asked for."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Callable
from urllib.parse import unquote

_MAX_VALUE = 4096
_MAX_PARTS = 64
_Others = Mapping[str, str]

# JAVA_OPTS and its like are by agreement of the scripts that start Java programs.
_JAVA = re.compile(r"(?:_JAVA_OPTIONS|J(?:AVA|DK_JAVA)_(?:TOOL_)?OPTIONS|(?:[A-Z]{1,24}_)?(?:JAVA|JVM|CATALINA)_OPTS)")
_JAVA_FILE = re.compile(r"-(?:(javaagent|Xbootclasspath/[ap])|agentpath):([^\s=]+)")
_JAVA_COMMAND = re.compile(r"-XX:On(?:OutOfMemory)?Error=(?:\"([^\"]+)\"|'([^']+)'|(\S+))")
_NODE_FILE = re.compile(
    r"(?:^|\s)(?:-r|--(?:require|import|loader|experimental-loader))[=\s]\s{0,8}[\"']?(?:file://)?([^\s\"']+)"
)
_PERL_SWITCH = re.compile(r"(?:^|\s)-([IMmd]:?)\s?['\"]?-?([^\s'\"]+)")
_RUBY_SWITCH = re.compile(r"(?:^|\s)-([rI])\s?([^\s'\"]+)")
_RUNS_COMMANDS = (
    "EDITOR", "GIT_EDITOR", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_PROXY_COMMAND", "GIT_SSH_COMMAND", "MANPAGER", "PAGER",
    "PROMPT_COMMAND", "VISUAL",
)  # fmt: skip
_PROMPTS = ("PS0", "PS1", "PS2", "PS4")


def run_by_variable(name: str, value: str, others: _Others = {}) -> Iterator[str]:  # noqa: B006 - only read
    """Yield as shell text what the variable has run: `. FILE`, `node FILE`, a command; `FOLDER/*` for where code is looked for.

    `others` are variables that are set with it: folders in which the named module is looked for. Sources: bash(1), node(1),
    perlrun(1), ruby(1), python(1), java(1), lua(1), less(1), git(1), .NET's documentation. Linear in the value.
    """
    makers = _MAKERS.get(name)
    if makers is None and name.isupper() and _JAVA.fullmatch(name):
        makers = _java
    return makers(value.strip()[:_MAX_VALUE], others) if makers is not None and value else iter(())


def sets_code(text: str) -> bool:
    """Whether any line of an environment file seems to set such a variable; quicker than reading it all."""
    return _SETS.search(text) is not None


def names_code(name: str) -> bool:
    """Whether a variable of this name has code run."""
    return name in _MAKERS or (name.isupper() and _JAVA.fullmatch(name) is not None)


def _is_path(word: str) -> bool:
    return word.startswith(("/", "~/", "./", "../", "$HOME/", "${HOME}/"))


def _folders(value: str) -> list[str]:
    """The folders of a list; a part that is put together from other variables than $HOME is none."""
    return [part.rstrip("/") for part in value.split(":")[:_MAX_PARTS] if _is_path(part)]


def _sourced(value: str, _: _Others) -> Iterator[str]:
    # The value is expanded before it is taken for a path.
    yield from _expanded(value)
    if _is_path(value) and "`" not in value and "$(" not in value:
        yield f". {_word(value)}"


def _expanded(value: str) -> Iterator[str]:
    if "$(" in value or "`" in value:
        # Inside double quotes, as bash expands it.
        yield ': "' + value.replace('"', "") + '"'


def _file(program: str, *endings: str) -> Callable[[str, _Others], Iterator[str]]:
    def made(value: str, _: _Others) -> Iterator[str]:
        if _is_path(value):
            yield from (f"{program} {_word(value + ending)}" for ending in ("", *endings))

    return made


def _python_path(value: str, _: _Others) -> Iterator[str]:
    for folder in _folders(value):
        yield f"{_word(folder)}/*"
        # site(3): these are run at each start.
        yield from (f"python3 {_word(folder)}/{name}.py" for name in ("sitecustomize", "usercustomize"))


def _searched(value: str, _: _Others) -> Iterator[str]:
    yield from (f"{_word(folder)}/*" for folder in _folders(value))


def _node(value: str, _: _Others) -> Iterator[str]:
    for match in _NODE_FILE.finditer(value):
        if match[1].startswith("data:"):
            kind, text = match[1].partition(",")[::2]
            yield f"node -e {shlex.quote(_decoded(text) if kind.endswith('base64') else unquote(text))}"
        elif _is_path(match[1]):
            yield f"node {_word(match[1])}"
            if "." not in match[1].rpartition("/")[2]:
                yield f"node {_word(match[1])}.js"


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return text


def _perl(value: str, others: _Others) -> Iterator[str]:
    switches = _PERL_SWITCH.findall(value)[:_MAX_PARTS]
    libraries = [word.partition("=")[2] for switch, word in switches if switch == "M" and word.startswith("lib=")]
    folders = [*(word for switch, word in switches if switch == "I"), *libraries]
    yield from _searched(":".join(folders), others)
    folders += _folders(others.get("PERL5LIB", ""))
    for switch, word in switches:
        module = re.split(r"[=,]", word, maxsplit=1)[0].replace("::", "/")
        if switch != "I" and re.fullmatch(r"[\w/]+", module):
            yield from (f"perl {_word(folder)}/{module}.pm" for folder in folders[:_MAX_PARTS] if _is_path(folder))


def _ruby(value: str, others: _Others) -> Iterator[str]:
    switches = _RUBY_SWITCH.findall(value)[:_MAX_PARTS]
    folders = [word for switch, word in switches if switch == "I"]
    yield from _searched(":".join(folders), others)
    folders += _folders(others.get("RUBYLIB", ""))
    for switch, word in switches:
        places = [word] if _is_path(word) else [f"{folder}/{word}" for folder in folders[:_MAX_PARTS] if _is_path(folder)]
        if switch == "r":
            yield from (f"ruby {_word(place)}{ending}" for place in places for ending in ("", ".rb"))


def _java(value: str, _: _Others) -> Iterator[str]:
    for match in _JAVA_FILE.finditer(value):
        if _is_path(match[2]):
            yield f"java -jar {_word(match[2])}" if match[1] else _word(match[2])
    for match in _JAVA_COMMAND.finditer(value):
        yield next(group for group in match.groups() if group)


def _paths(value: str, _: _Others) -> Iterator[str]:
    yield from map(_word, _folders(value))


def _lua(value: str, _: _Others) -> Iterator[str]:
    yield f"lua {_word(value[1:])}" if value.startswith("@") else f"lua -e {shlex.quote(value)}"


def _code(program: str) -> Callable[[str, _Others], Iterator[str]]:
    def made(value: str, _: _Others) -> Iterator[str]:
        yield f"{program} {shlex.quote(value)}"

    return made


def _command(value: str, _: _Others) -> Iterator[str]:
    yield value


def _input_filter(value: str, _: _Others) -> Iterator[str]:
    yield value.lstrip("|-@ ")


def _prompt(value: str, _: _Others) -> Iterator[str]:
    yield from _expanded(value)


def _word(path: str) -> str:
    """A path as one word of shell text; `$HOME` and `~` keep their meaning."""
    for home in ("~/", "$HOME/", "${HOME}/"):
        if path.startswith(home):
            return home + shlex.quote(path[len(home) :])
    return shlex.quote(path)


_MAKERS: dict[str, Callable[[str, _Others], Iterator[str]]] = {
    "BASH_ENV": _sourced,
    "ENV": _sourced,
    "PYTHONSTARTUP": _file("python3"),
    "PYTHONPATH": _python_path,
    "NODE_OPTIONS": _node,
    "NODE_PATH": _searched,
    "PERL5OPT": _perl,
    "PERL5LIB": _searched,
    "PERL5DB": _code("perl -e"),
    "RUBYOPT": _ruby,
    "RUBYLIB": _searched,
    "LUA_INIT": _lua,
    "GCONV_PATH": _searched,
    "DOTNET_STARTUP_HOOKS": _paths,
    "CORECLR_PROFILER_PATH": _paths,
    "LESSOPEN": _input_filter,
    "LESSCLOSE": _input_filter,
    **dict.fromkeys(_RUNS_COMMANDS, _command),
    **dict.fromkeys(_PROMPTS, _prompt),
}
_SETS = re.compile(
    rf"(?m)^[ \t]*(?:export[ \t]+)?(?:{'|'.join(map(re.escape, _MAKERS))}"
    r"|[A-Z_]{0,64}(?:JAVA|JVM|JDK|CATALINA)[A-Z_]{0,64})[=\s]"
)
