"""Which program a simple command really starts: behind wrappers such as nohup and env, and inside interpreters."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple, Optional

SHELLS = frozenset({"sh", "bash", "dash", "ash", "rbash", "zsh", "ksh", "ksh93", "mksh", "fish", "csh", "tcsh"})
# Other interpreters: options that bring code, and options whose value is no script.
_INTERPRETERS = {
    "python": ("c", "WXQm"),
    "pypy": ("c", "WXm"),
    "perl": ("eE", ""),
    "ruby": ("e", "rI"),
    "php": ("r", "dc"),
    "node": ("ep", "r"),
    "nodejs": ("ep", "r"),
    "lua": ("e", "l"),
    "tclsh": ("", ""),
    "expect": ("c", ""),
}
_VERSION = "0123456789."
# NAME_MAX of the kernel: a longer word is no name of a file.
_MAX_NAME = 255
# Programs that run what is written to their standard input, some of them later.
_QUEUES = frozenset({"crontab", "at", "batch", "parallel"})
# Programs that hand a command on to a shell elsewhere: a container's, another host's, an editor's, an archiver's.
_EDITORS = frozenset({"vi", "vim", "ex", "view"})
CARRIERS = frozenset({"docker", "podman", "nerdctl", "kubectl", "lxc", "ssh", "tar"}) | _EDITORS
_SSH_VALUED = "BbcDEeFIiJLlmOopQRSWw"
_TMUX_STARTS = frozenset({"new", "new-session", "neww", "new-window", "run", "run-shell", "splitw", "split-window"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SYSTEM_PLACE = re.compile(
    r"/{1,2}(?:(?:usr/)?(?:local/)?(?:s?bin|lib(?:exec|32|64)?)|(?:nix|gnu)/store|run/current-system|snap|(?:var/)?lib/snapd)/|\$"
)
_LOADER = re.compile(r"ld-(?:linux|musl)[\w.-]*|ld-[0-9.]{1,8}\.so|ld(?:64)?\.so(?:\.[0-9])?")


class _Wrapper(NamedTuple):
    """How to step over a wrapper: its short and long options that take a value, and operands before the program."""

    short: str = ""
    long: frozenset[str] = frozenset()
    operands: int = 0


def _wrapper(short: str = "", long: str = "", operands: int = 0) -> _Wrapper:
    return _Wrapper(short, frozenset(long.split()), operands)


# From the programs' man pages (coreutils 9, util-linux 2.40, sudo 1.9, busybox 1.36, bash 5.2, glibc 2.41).
_WRAPPERS = {
    "nohup": _wrapper(),
    "ld.so": _wrapper("", "library-path preload argv0 inhibit-rpath audit glibc-hwcaps-mask glibc-hwcaps-prepend"),
    "setsid": _wrapper(),
    "command": _wrapper(),
    "builtin": _wrapper(),
    "time": _wrapper("fo", "format output"),
    "busybox": _wrapper(),
    "exec": _wrapper("a"),
    "env": _wrapper("uC", "unset chdir"),
    "sudo": _wrapper("ugUhpCDRTrt", "user group other-user host prompt close-from chdir chroot command-timeout role type"),
    "doas": _wrapper("uC"),
    "nice": _wrapper("n", "adjustment"),
    "ionice": _wrapper("cn", "class classdata"),
    "chrt": _wrapper("TPD", "sched-runtime sched-period sched-deadline", 1),
    "taskset": _wrapper(operands=1),
    "timeout": _wrapper("ks", "kill-after signal", 1),
    "stdbuf": _wrapper("ioe", "input output error"),
    "unbuffer": _wrapper(),
    "chroot": _wrapper("", "userspec groups", 1),
    "unshare": _wrapper("SGRw", "setuid setgid root wd map-user map-group"),
    "nsenter": _wrapper("tSG", "target setuid setgid"),
    "flock": _wrapper("wE", "timeout wait conflict-exit-code", 1),
    "runuser": _wrapper("ugG", "user group supp-group"),
    "setpriv": _wrapper("", "reuid regid groups"),
    "systemd-run": _wrapper("uptEHM", "unit property slice uid gid nice setenv description on-boot on-active on-calendar"),
    "daemonize": _wrapper("aeoplcEu"),
    "daemon": _wrapper("", "user pidfile check"),
    "screen": _wrapper("SThcetps"),
    "xargs": _wrapper("InPLsadE", "replace max-args max-procs max-lines max-chars arg-file delimiter eof"),
    "watch": _wrapper("n", "interval"),
    "numactl": _wrapper("CNmip", "cpunodebind physcpubind membind interleave preferred"),
    "prlimit": _wrapper("p", "pid"),
    "cpulimit": _wrapper("lp", "limit"),
    "torsocks": _wrapper(),
    "torify": _wrapper(),
    "proxychains": _wrapper("f"),
    "proxychains4": _wrapper("f"),
}


class Invocation(NamedTuple):
    """What a simple command starts: the program as written, its arguments, and what an interpreter is given to run."""

    program: str
    arguments: tuple[str, ...]
    script: Optional[str] = None  # file that an interpreter (or `source`) reads
    code: Optional[str] = None  # program text given as an argument
    reads_input: bool = False  # runs what comes from standard input

    @property
    def name(self) -> str:
        """The program without its folder."""
        return self.program.rstrip("/").rpartition("/")[2]

    @property
    def is_shell_code(self) -> bool:
        """Whether `code` is shell text."""
        return self.code is not None and _interpreter(self.name) is None


def resolve(words: Sequence[str]) -> Optional[Invocation]:
    """What the fields of a simple command start, wrappers stepped over; None when there is none.

    A wrapper that starts nothing (`nohup` alone) is itself the program. Linear in the number of words.
    """
    start = 0
    while start < len(words):
        following = _behind_wrapper(words, start)
        if following is None or following >= len(words):
            break
        start = following
    if not words:
        return None
    if words[start] == "-c":
        # `flock FILE -c COMMAND` hands the command to a shell.
        return _invocation("sh", tuple(words[start:]))
    return _invocation(words[start], tuple(words[start + 1 :]))


def _name(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _behind_wrapper(words: Sequence[str], start: int) -> Optional[int]:
    """Index of the word behind the wrapper at `start`; None when that word is no wrapper."""
    name = _name(words[start])
    if name == "start-stop-daemon":
        return _behind_option(words, start, ("--exec", "--startas", "-x", "-a"))
    if name == "find":
        return _behind_option(words, start, ("-exec", "-execdir", "-ok", "-okdir"))
    if is_dynamic_loader(name):
        name = "ld.so"
    # Elsewhere anything may go by such a name; busybox is carried along under its own.
    wrapper = _WRAPPERS.get(name) if name == "busybox" or is_system_program(words[start]) else None
    following = words[start + 1] if start + 1 < len(words) else ""
    # `command -v` only asks; without -u, runuser takes its command like su.
    if wrapper is None or (name == "command" and following in ("-v", "-V")) or (name == "runuser" and following != "-u"):
        return None
    index = start + 1
    while index < len(words):
        word = words[index]
        if word == "--":
            index += 1
            break
        if len(word) > 1 and word[0] == "-":
            index += 1 + _takes_next(wrapper, word)
        elif name in ("env", "sudo") and _ASSIGNMENT.match(word):
            index += 1
        else:
            break
    return index + wrapper.operands


def _takes_next(wrapper: _Wrapper, option: str) -> bool:
    """Whether the option's value is the next word."""
    if option.startswith("--"):
        return option[2:] in wrapper.long
    valued = next((index for index, char in enumerate(option) if index and char in wrapper.short), 0)
    return valued == len(option) - 1 and valued > 0


def _behind_option(words: Sequence[str], start: int, options: tuple[str, ...]) -> Optional[int]:
    """Index of the word behind the first of these options, which names a program to start."""
    return next((index + 1 for index in range(start + 1, len(words) - 1) if words[index] in options), None)


def _interpreter(name: str) -> Optional[tuple[str, str]]:
    return _INTERPRETERS.get(name.rstrip(_VERSION)) if len(name) <= _MAX_NAME else None


def is_dynamic_loader(name: str) -> bool:
    """Whether a program of this name is the loader of other programs, which runs what its arguments name (ld.so(8))."""
    return _LOADER.fullmatch(name) is not None


def is_system_program(program: str) -> bool:
    """Whether the program is given by its bare name, or by a path at which a system or a package store keeps programs."""
    return "/" not in program or _SYSTEM_PLACE.match(program) is not None


def is_interpreter(name: str) -> bool:
    """Whether a program of this name runs scripts."""
    return name in SHELLS or _interpreter(name) is not None


def _invocation(program: str, arguments: tuple[str, ...]) -> Invocation:
    name = _name(program)
    found = Invocation(program, arguments)
    if name in (".", "source", "insmod"):
        return found._replace(script=arguments[0] if arguments else None)
    if name == "alias":
        return found._replace(code="\n".join(argument.partition("=")[2] for argument in arguments))
    if name == "tmux" and not _TMUX_STARTS.isdisjoint(arguments):
        return found._replace(code=arguments[-1])
    if name == "eval":
        return found._replace(code=" ".join(arguments))
    if name == "trap" and len(arguments) > 1:
        return found._replace(code=arguments[0])
    if name in ("su", "runuser", "script"):
        return found._replace(code=_option_value(arguments, "c", "command"))
    if name == "java":
        return found._replace(script=_option_value(arguments, "", "", "-jar"))
    if name in CARRIERS:
        return found._replace(code=_carried(name, arguments))
    if name in SHELLS:
        return _shell(found)
    options = _interpreter(name)
    if options is not None:
        return _interpreted(found, *options)
    if name in _QUEUES:
        return _queued(found)
    return found


def _carried(name: str, arguments: tuple[str, ...]) -> Optional[str]:
    """The shell text that a program hands to another host's or container's shell, or to one of its own."""
    if name == "ssh":
        index = 0
        while index < len(arguments) and arguments[index].startswith("-"):
            index += 2 if arguments[index][-1] in _SSH_VALUED and len(arguments[index]) == 2 else 1
        return " ".join(arguments[index + 1 :]) or None
    if name == "tar":
        actions = (word.split("=exec=", 1)[1] for word in arguments if word.startswith("--checkpoint-action=exec="))
        return next(actions, None) or _option_value(arguments, "", "to-command")
    if name in _EDITORS:
        return next((word.partition("!")[2] for word in arguments if word.startswith((":!", "!", "+!", "+:!"))), None)
    if not {"run", "exec"}.intersection(arguments):
        return None
    # Which of its options take a value differs from version to version; a shell is a shell.
    inner = next((at for at, word in enumerate(arguments) if at and (_name(word) in SHELLS or _name(word) == "chroot")), None)
    return None if inner is None else shlex.join(arguments[inner:])


def _queued(found: Invocation) -> Invocation:
    """`crontab [-u user] [file | -]`, `at [-f file] time`, `batch`, `parallel`: what is run later."""
    given = _option_value(found.arguments, "f", "") if found.name in ("at", "batch") else None
    if found.name == "crontab":
        given = _crontab_file(found.arguments)
    return found._replace(script=given, reads_input=given is None)


def _crontab_file(arguments: Sequence[str]) -> Optional[str]:
    """The file that crontab(1) installs; None where it lists, edits, removes or reads its input."""
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "-":
            return None
        if not word.startswith("-"):
            return word
        # -u USER and -c DIRECTORY (busybox); -s and -n take nothing.
        index += 2 if word in ("-u", "-c") else 1
    return None


def _option_value(arguments: Sequence[str], short: str, long: str, exact: str = "") -> Optional[str]:
    for index, word in enumerate(arguments):
        if long and word.startswith(f"--{long}="):
            return word.partition("=")[2]
        is_short = short and word.startswith("-") and not word.startswith("--") and word.endswith(short)
        if is_short or (long and word == f"--{long}") or (exact and word == exact):
            return arguments[index + 1] if index + 1 < len(arguments) else None
    return None


def _shell(found: Invocation) -> Invocation:
    """`sh [-abc] [-o option] [-c code | script | -s]`."""
    has_code = False
    index = 0
    while index < len(found.arguments):
        word = found.arguments[index]
        if word in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file"):
            index += 1
        elif word == "-" or word == "--":
            index += 1
            break
        elif word.startswith(("-", "+")):
            if not word.startswith("--"):
                has_code |= "c" in word
                if "s" in word and not has_code:
                    return found._replace(reads_input=True)
        else:
            break
        index += 1
    operand = found.arguments[index] if index < len(found.arguments) else None
    if operand is None:
        return found._replace(reads_input=True)
    if has_code:
        return found._replace(code=operand)
    return found._replace(script=operand, reads_input=operand == "/dev/stdin")


def _interpreted(found: Invocation, code: str, valued: str) -> Invocation:
    """`python [-c code | -m module | script | -]` and its like."""
    index = 0
    while index < len(found.arguments):
        word = found.arguments[index]
        if word == "-":
            return found._replace(reads_input=True)
        if word == "--" or not word.startswith("-"):
            index += word == "--"
            break
        if word in ("--eval", "--print") and code:
            word = f"-{code[0]}"
        if not word.startswith("--"):
            position = next((at for at, char in enumerate(word) if at and char in code + valued), 0)
            if position and word[position] in code:
                rest = word[position + 1 :]
                following = found.arguments[index + 1] if index + 1 < len(found.arguments) else ""
                # perl's -e may stand in a cluster; a cluster's rest is the code where the option takes it joined.
                return found._replace(code=rest or following)
            if position and word[position] == "m":
                return found
            index += bool(position) and position == len(word) - 1
        index += 1
    operand = found.arguments[index] if index < len(found.arguments) else None
    return found._replace(script=operand, reads_input=operand in (None, "/dev/stdin"))
