"""What a finding is about: the processes, files, jobs, keys and addresses in its row, as the pack says where they stand."""

from __future__ import annotations

import functools
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

from extension.pack.parts import Query
from tables.indicators.miner_words import miner_words
from tables.indicators.networks import is_local, parse_address
from tables.indicators.pools import builtin_shared_networks
from tables.indicators.process_names import hidden_component, is_below, process_names
from tables.indicators.wallets import find_wallets
from tables.schema import whole_number
from tables.text import bounded_yaml

PROCESS = "process"
FILE = "file"
FOLDER = "folder"
HASH = "hash"
UNIT = "unit"
ADDRESS = "address"
WALLET = "wallet"
POOL = "pool"

# More of a command than this holds nothing that its beginning does not; of a row that many things are plenty.
_TEXT_READ = 16_384
_MENTIONED = 16
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32")
_PROC_SYS = ("/proc", "/sys")
_FILE_OF = {"exe_sha256": "exe_path", "sha256": "path"}
_PACKAGE_OF = {"path": "package", "program_path": "program_package", "exe_path": "exe_package"}
_URL_HOST = re.compile(r"\b[a-z][a-z0-9+]{1,15}://(?:[^\s/@'\"]{0,64}@)?(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})")
# Where on a site it is; a name or number that somebody drew, not the site's own front page.
_URL_PATH = re.compile(r"(?::[0-9]{1,5})?(/[^\s'\"|;&<>()$`]{4,1000})")
# What fetches needs no scheme before an address with a path; a number alone behind one is a network's.
_BARE_ADDRESS = re.compile(r"(?<![\w.:/@-])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?::[0-9]{1,5})?/(?![0-9]{1,2}(?![\w.-]))[\w.~%+-]")
# Attackers rename curl to cdl and cd1, and wget to wdl and wd1.
_FETCH = re.compile(r"\b(curl1?|cdl|cd1|wget1?|wdl|wd1|aria2c|axel|lwp-download|ftpget)\s([^|;&\n]{0,400})")
# Where it is put: curl's -O takes no name.
_PUT = {"c": re.compile(r"(?:^|\s)(?:-[A-Za-z]{0,9}o|--output)[\s=]+\S+"),
        "w": re.compile(r"(?:^|\s)(?:-[A-Za-z]{0,9}[oO]|--output-document)[\s=]+\S+")}  # fmt: skip
_BARE_SITE = re.compile(r"(?:^|\s)((?:[A-Za-z0-9_-]{1,63}\.){1,8}[A-Za-z]{2,24})(?::[0-9]{1,5})?/[^\s'\"]")
_DEV_TCP = re.compile(r"/dev/(?:tcp|udp)/([A-Za-z0-9.:-]{1,253})/")
_PATH = re.compile(r"(?<![\w.:/@-])/[\w.@%+~:\[\]{}-][^\s'\"|;&<>()$`,]{0,1000}")
_PROC_PID = re.compile(r"/proc/([0-9]{1,10})(?:/|$)")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
_BLANKS = re.compile(r"\s+")
_KEYS = ".ssh"
# What systemd and snapd make for each service's own files.
_PRIVATE = ("systemd-private-", "snap-private")


class Thing(NamedTuple):
    """Something that findings can share. A weak one is only meant by the finding, and ties it to those that are about it."""

    kind: str
    value: str
    is_weak: bool = False


def things_of(query: Query, row: Mapping[str, str]) -> tuple[Thing, ...]:
    """All that a row is about, each once, in the order of the pack's `things`; what every host has is left out."""
    found: dict[Thing, None] = {}
    for kind, columns in query.things.items():
        for column in columns:
            value = row.get(column, "")
            if value:
                found.update(dict.fromkeys(_read(kind, column, value, row)))
    # What is both meant and named is named.
    strong = {(thing.kind, thing.value) for thing in found if not thing.is_weak}
    return tuple(thing for thing in found if not thing.is_weak or (thing.kind, thing.value) not in strong)


def _read(kind: str, column: str, value: str, row: Mapping[str, str]) -> Iterator[Thing]:
    if kind == PROCESS:
        return _process(value, column, row)
    if kind == FILE:
        # A file that a package owns says nothing; of a process's the row does not tell whether one does.
        return iter(()) if row.get(_PACKAGE_OF.get(column, "")) else _file(value, is_unsure=column == "exe_path")
    if kind == HASH and _is_interpreter(row.get(_FILE_OF.get(column, ""), "")):
        # Whatever it runs, it is the distribution's.
        return iter(())
    return _READERS[kind](value)


def process_pid(thing: Thing) -> str:
    """The pid in a process's value, `pid` or `pid@start`."""
    return thing.value.partition("@")[0]


def _process(value: str, column: str, row: Mapping[str, str]) -> Iterator[Thing]:
    """A process by pid and start time; by another column's pid, or of the parent, it is only meant."""
    if not _is_pid(value):
        return
    if column != "pid":
        yield Thing(PROCESS, value, is_weak=True)
        return
    start = row.get("start_time", "")
    yield Thing(PROCESS, f"{value}@{start}" if start not in ("", "0") else value)
    parent, name = row.get("parent", ""), row.get("parent_name", "")
    if _is_pid(parent):
        yield Thing(PROCESS, parent, is_weak=True)
        if name and name not in common("parent"):
            yield Thing("parent", f"{parent} {name}")


def _is_pid(text: str) -> bool:
    """Whether it is the pid of a process that is not the first, which is everybody's parent."""
    return (whole_number(text) or 0) > 1


def _file(value: str, is_unsure: bool = False) -> Iterator[Thing]:
    path = value.removesuffix(" (deleted)")
    of_process = _PROC_PID.match(path)
    if of_process:
        yield Thing(PROCESS, of_process[1], is_weak=True)
        return
    if not path.startswith("/") or path in common("file") or path.startswith("/memfd:"):
        return
    if _is_interpreter(path):
        return
    yield Thing(FILE, path, is_weak=is_unsure and is_below(path, _SYSTEM_FOLDERS) is not None)
    yield from _folder(str(PurePosixPath(path).parent))


def _is_interpreter(path: str) -> bool:
    """Whether it is where a distribution has its interpreters and shells."""
    return is_below(path, _SYSTEM_FOLDERS) is not None and bool(process_names().interpreters.match(PurePosixPath(path).name))


def _folder(value: str) -> Iterator[Thing]:
    folder = _odd_folder(value)
    if folder:
        yield Thing(FOLDER, folder)


def _odd_folder(folder: str) -> Optional[str]:
    """The folder at or above `folder` that somebody made: a hidden one, or one below a folder that anybody may write to."""
    shared = max((one for one in process_names().writable_folders if f"{folder}/".startswith(f"{one}/")), key=len, default=None)
    if shared is not None:
        own = folder[len(shared) + 1 :].split("/")
        # Some of those hold more of their kind: /dev/shm, /run/user/1000.
        depth = 2 if own[0].isdigit() or f"{shared}/{own[0]}" in common(FOLDER) else 1
        is_whole = len(own) >= depth and own[0] and not own[0].startswith(_PRIVATE)
        return f"{shared}/{'/'.join(own[:depth])}" if is_whole else None
    hidden = hidden_component(folder)
    if hidden is None or hidden == _KEYS or process_names().is_tool_path(f"{folder}/x", ()):
        return None
    parts = folder.split("/")
    return "/".join(parts[: parts.index(hidden) + 1])


def _place(value: str) -> Iterator[Thing]:
    """A file of many entries, of which the finding is one."""
    if value.startswith("/"):
        yield Thing(FILE, value, is_weak=True)


def _mentions(value: str) -> Iterator[Thing]:
    """Files, addresses and wallets that stand in a command."""
    text = value[:_TEXT_READ]
    for count, match in enumerate(_PATH.finditer(text)):
        path = match[0].rstrip(":.")
        if count == _MENTIONED:
            break
        if not is_below(path, (*_SYSTEM_FOLDERS, *_PROC_SYS, "/dev/tcp", "/dev/udp")):
            yield from _file(path)
    for place, pattern in ((text, _URL_HOST), (text, _DEV_TCP), (text, _BARE_ADDRESS), (_fetches(text), _BARE_SITE)):
        for count, match in enumerate(pattern.finditer(place)):
            if count == _MENTIONED:
                break
            host = match[1].strip("[]")
            yield from _on_shared_site(host.lower(), place, match.end(1)) if is_shared_site(host) else _address(host)
    for wallet in find_wallets(text):
        yield Thing(WALLET, wallet.address)


def _fetches(text: str) -> str:
    """What stands behind the programs that fetch, which alone take a site's name without a scheme."""
    found = zip(_FETCH.finditer(text), range(_MENTIONED))
    return "\n".join(_PUT.get(match[1][0], _PUT["w"]).sub(" ", match[2]) for match, _count in found)


def is_shared_site(host: str) -> bool:
    """Whether everybody may put something on the site of this name, or fetches something from there."""
    return host.lower().rstrip(".") in common(ADDRESS)


def names_miner(text: str) -> bool:
    """Whether the text names a known mining program, its words parted by whatever stands between them."""
    return any(miner_words().program_in(each) for each in (text, _NO_WORD.sub(" ", text)))


def _on_shared_site(host: str, text: str, end: int) -> Iterator[Thing]:
    path = _URL_PATH.match(text, end)
    # What everybody fetches there, such as a miner's own releases, tells nobody.
    if path and not names_miner(path[1]):
        yield Thing(ADDRESS, host + path[1].rstrip("/"))


def _address(value: str) -> Iterator[Thing]:
    """An address or host name outside of this host, unless it is shared infrastructure's or a site's that everybody uses."""
    host = value.lower().rstrip(".")
    if is_shared_site(host):
        return
    try:
        packed = parse_address(host)
    except ValueError:
        if "." in host and not host.startswith("localhost"):
            yield Thing(ADDRESS, host)
        return
    # On the link clouds answer their own machines.
    if not is_local(packed) and not builtin_shared_networks().find(packed):
        yield Thing(ADDRESS, host)


def _pool(value: str) -> Iterator[Thing]:
    for one in re.split(r"[,\s]+", value[:_TEXT_READ], maxsplit=_MENTIONED):
        endpoint = one.rpartition("://")[2].lower()
        if endpoint:
            yield Thing(POOL, endpoint)
            host = endpoint.rpartition(":")[0] or endpoint
            yield from _address(host.strip("[]"))


def _list(kind: str, value: str) -> Iterator[Thing]:
    for one in re.split(r"[,\s]+", value[:_TEXT_READ], maxsplit=_MENTIONED):
        if one and one not in common(kind):
            yield Thing(kind, one)


def _text(kind: str, value: str) -> Iterator[Thing]:
    text = _BLANKS.sub(" ", value[:_TEXT_READ]).strip()
    if text and text not in common(kind):
        yield Thing(kind, text)


def _in_unit(value: str) -> Iterator[Thing]:
    yield Thing(UNIT, value, is_weak=True)


@functools.cache
def common(what: str) -> frozenset[str]:
    """The names of a list in common.yaml (parent, account, hash, file, folder); none for a list that is not there."""
    return frozenset(name for entry in _common().get(what, ()) for name in entry["names"])


@functools.cache
def _common() -> Mapping[str, list[dict[str, list[str]]]]:
    data = pkgutil.get_data(__package__, "common.yaml")
    assert data is not None
    loaded: dict[str, list[dict[str, list[str]]]] = bounded_yaml.load(data)
    return loaded


# What the pack's `things` may name, and how a column of that kind is read.
_READERS: Mapping[str, Callable[[str], Iterator[Thing]]] = {
    FOLDER: _folder,
    "place": _place,
    "mentions": _mentions,
    ADDRESS: _address,
    POOL: _pool,
    UNIT: functools.partial(_text, UNIT),
    "in_unit": _in_unit,
    "job": functools.partial(_text, "job"),
    "account": functools.partial(_text, "account"),
    "module": functools.partial(_text, "module"),
    "container": functools.partial(_text, "container"),
    "image": functools.partial(_text, "image"),
    "key": functools.partial(_list, "key"),
    WALLET: functools.partial(_list, WALLET),
    HASH: functools.partial(_list, HASH),
}
KINDS = (PROCESS, FILE, *_READERS)
