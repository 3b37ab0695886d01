"""Commands and paths without what differs from host to host: numbers, addresses, identifiers, random names.

One list of replacements, applied by Python's `re` and, as an Ibis expression, by every engine: RE2's syntax, no look-around, no
group in a replacement (engines write it differently), and every repetition that could be tried again from elsewhere is bounded.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import ibis
import ibis.expr.types as ir

from extension.fleet.columns import NORMALISED
from extension.incidents.things import common

# More of a command says nothing about which one it is.
MAX_TEXT = 2048
REPLACEMENTS = (
    # What everybody may write to, and what is hidden, is named at will.
    (r"/tmp/[^\s'\";|&<>()]+", "/tmp/*"),  # noqa: S108  # named, not used
    (r"/shm/[^\s'\";|&<>()]+", "/shm/*"),
    (r"/home/[^/\s'\";|&<>()]+", "/home/*"),
    (r"/\.[^/\s'\";|&<>()]+", "/.*"),
    (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "*"),
    (r"[A-Za-z0-9+=]{24,}", "*"),
    (r"\b[A-Za-z]{1,32}[0-9]{1,32}[A-Za-z][A-Za-z0-9]{0,64}\b", "*"),
    (r"\b[0-9]{1,32}[A-Za-z]{1,32}[0-9][A-Za-z0-9]{0,64}\b", "*"),
    (r"\b[0-9a-f]{8,}\b", "*"),
    (r"\b[a-z]{0,16}[bcdfghjklmnpqrstvwxz]{6}[a-z]{0,32}\b", "*"),
    (r"[0-9]+", "#"),
    (r"\s+", " "),
)
_COMPILED = tuple((re.compile(pattern), replacement) for pattern, replacement in REPLACEMENTS)
# What commands of the most different aims have in common.
_TOOLS = frozenset(
    [
        "bin",
        "sbin",
        "usr",
        "local",
        "opt",
        "etc",
        "var",
        "tmp",
        "home",
        "root",
        "dev",
        "null",
        "shm",
        "sh",
        "bash",
        "dash",
        "python",
        "perl",
        "curl",
        "wget",
        "fetch",
        "http",
        "https",
        "ftp",
        "www",
        "com",
        "org",
        "net",
        "chmod",
        "nohup",
        "sudo",
        "echo",
        "base",
        "sleep",
        "while",
        "true",
        "do",
        "done",
        "then",
        "fi",
        "exec",
        "eval",
        "cat",
        "grep",
        "awk",
        "sed",
        "tee",
        "nice",
        "setsid",
        "timeout",
        "busybox",
        "php",
        "node",
        "fssl",
        "sfl",
        "silent",
        "output",
        "quiet",
        "insecure",
        "max",
        "time",
        "connect",
        "retry",
        "install",
        "script",
        "scripts",
        "lib",
        "run",
        "env",
        "cd",
        "mkdir",
        "rm",
        "cp",
        "mv",
        "start",
        "stop",
        # What paths on code hosts and paste sites have, and what those who mine call it.
        "raw",
        "main",
        "master",
        "refs",
        "heads",
        "blob",
        "releases",
        "download",
        "latest",
        "setup",
        "miner",
        "mining",
        "pool",
        "xmrig",
        # How a container reaches its host, and what is installed there first.
        "chroot",
        "mnt",
        "hostfs",
        "docker",
        "apk",
        "apt",
        "yum",
        "add",
        "update",
    ]
)
_WORD = re.compile(r"[A-Za-z]{3,}")
_TOKEN = re.compile(r"[A-Za-z][A-Za-z_]+")
_DISTINCT_LETTERS = 6
# Shorter names stand in too many words.
_NAME = 4
_WORDS = 6
# More patterns than this are no scheme by which hosts are named.
_SCHEMES = 300
_FAMILIES = 2000


def normalised(text: str, names: Iterable[str] = ()) -> str:
    """The text without its host-specific parts; `names` are the host's own."""
    text = without_names(text[:MAX_TEXT], names)
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text.strip()


def without_names(text: str, names: Iterable[str]) -> str:
    """The text with HOST for the host's own names, also for what stands before their first dot."""
    for part in sorted(_spellings(names), key=lambda each: (-len(each), each)):
        text = text.replace(part, "HOST")
    return text


def _spellings(names: Iterable[str]) -> set[str]:
    """Names with and without their domain, but for those too short to be looked for."""
    return {part for name in names for part in (name, name.partition(".")[0]) if len(part) >= _NAME}


def families(commands: Iterable[str]) -> dict[str, str]:
    """For each normalised command the one that stands for all that are nearly the same: most of their words are.

    What attackers draw anew for each host is not always told from words; what they repeat is.
    """
    kept: list[tuple[str, frozenset[str]]] = []
    found: dict[str, str] = {}
    for command in sorted(set(commands)):
        words = frozenset(_TOKEN.findall(command))
        alike = next((other for other, theirs in kept if _is_alike(words, theirs)), None) if len(words) >= _WORDS else None
        found[command] = alike or command
        if alike is None and len(kept) < _FAMILIES:
            kept.append((command, words))
    return found


def _is_alike(one: frozenset[str], other: frozenset[str]) -> bool:
    # What differs that much in number cannot share three of four words, and is told so at once.
    if min(len(one), len(other)) * 4 < max(len(one), len(other)) * 3:
        return False
    both = one & other
    return len(both) * 4 >= (len(one) + len(other) - len(both)) * 3 and is_distinct(" ".join(sorted(both)))


@functools.cache
def _sites() -> frozenset[str]:
    """The words in the names of sites that everybody uses."""
    return frozenset(word.lower() for name in common("address") for word in _WORD.findall(name))


def naming_schemes(names: Iterable[str]) -> list[str]:
    """What is left of hosts' names after normalising where several have it (web-#.example), the longest first.

    None where hosts are named by no scheme; a name that only one host has is told from a text by `without_names`.
    """
    counts = Counter(map(normalised, _spellings(names)))
    schemes = [scheme for scheme, count in counts.items() if count > 1 and len(scheme) >= _NAME and "#" in scheme]
    return sorted(schemes, key=lambda each: (-len(each), each)) if len(schemes) <= _SCHEMES else []


def normalised_expression(text: ir.StringValue, schemes: Sequence[str] = ()) -> ir.StringValue:
    """The same of a column, in the engine, with HOST for what is named like the fleet's hosts (naming_schemes)."""
    text = text.substr(0, MAX_TEXT)
    for pattern, replacement in REPLACEMENTS:
        text = text.re_replace(pattern, replacement)
    if schemes:
        text = text.re_replace("|".join(map(re.escape, schemes)), "HOST")
    return text.strip()


def normal_texts(rows: ir.Table, schemes: Sequence[str] = ()) -> ir.Table:
    """(text, normal): every text of the columns of NORMALISED once, since many rows have the same."""
    texts = ibis.union(*(rows.select(text=rows[column]) for column in NORMALISED), distinct=True)
    return texts.select("text", normal=normalised_expression(texts.text, schemes))


def is_distinct(command: str) -> bool:
    """Whether a normalised command says enough to be recognised: words beyond the tools and sites that everybody uses."""
    words = {word.lower() for word in _WORD.findall(command)} - _TOOLS - _sites()
    return sum(map(len, words)) >= _DISTINCT_LETTERS
