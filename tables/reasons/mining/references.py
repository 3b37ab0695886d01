"""Which pools a command line names, which configuration files, and what a pool that is named stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.indicators.miner_words import CONFIG_OPTIONS, MinerWords, miner_words, words_of
from tables.indicators.networks import parse_address
from tables.indicators.pools import HIGH, MEDIUM, Listed, PoolIndicators
from tables.indicators.wallets import find_wallets

# xmrig's port for a pool that is given without one (src/base/net/stratum/Pool.h).
_DEFAULT_PORT = 3333
_WEB_PORTS = frozenset({80, 443})
# Between the words of a command line or a text.
WORDS = re.compile(r"""[\s"'`,;=<>|()\\]+""")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_PORT_FLAGS = frozenset({"--port"})
# Arguments that may hold a wallet: none is shorter, and a longer one is text.
LEAST_WALLET, MAX_WALLET_WORD = 26, 512


class Endpoint(NamedTuple):
    """A host, with what was written around it; `host` is without the brackets of an IPv6 address."""

    scheme: str
    host: str
    port: Optional[int]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = f"{self.scheme}://" if self.scheme else ""
        return f"{scheme}{host}" if self.port is None else f"{scheme}{host}:{self.port}"


class Reference(NamedTuple):
    """A pool that a process names: connections of that process to one of `ports`, or to `address`, are connections to it."""

    match_type: str
    endpoint: str
    ports: tuple[int, ...]
    address: Optional[bytes]
    listed: Optional[Listed]
    confidence: str
    where: str


def parse_endpoint(word: str) -> Optional[Endpoint]:
    """Read `scheme://[user@]host[:port][/path]` or `host[:port]`; None for anything else."""
    scheme, separator, rest = word.rpartition("://")
    if separator:
        rest = rest.rpartition("@")[2].partition("/")[0]
    host, colon, number = rest.rpartition(":")
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        colon, number = tail[:1], tail[1:]
        if not bracket or colon not in ("", ":") or _address(host) is None:
            return None
    else:
        host = host if colon else rest
        number = number if colon else ""
        if not _HOST.fullmatch(host):
            return None
    port = _port(number) if colon else None
    return None if colon and port is None else Endpoint(scheme.lower(), host, port)


def _port(text: str) -> Optional[int]:
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if is_number and 0 < int(text) < 65536 else None


def cmdline_references(
    argv: Sequence[str], indicators: PoolIndicators, miner_confidence: Optional[str] = None
) -> list[Reference]:
    """The pools that a command line names.

    That is a stratum URL, a listed pool domain that is no web address, and for a miner's command line also the plain host:port
    behind -o, --url and the like. `miner_confidence` is how certain the caller is that it is a miner's, "" when it is not at
    all; without it the program's name, options, algorithm and wallet decide.
    """
    vocabulary = miner_words()
    words = _words(argv, vocabulary)
    default = next((_port(value) for flag, value in zip(words, words[1:]) if flag in _PORT_FLAGS), None)
    behind_flag = {value for flag, value in zip(words, words[1:]) if flag in vocabulary.pool_options}
    given = argv[0].split() if len(argv) == 1 else argv
    found: dict[str, Reference] = {}
    for word in words:
        if "." not in word and "://" not in word and word not in behind_flag:
            continue
        endpoint = parse_endpoint(word)
        if endpoint is None or endpoint.scheme.startswith("http"):
            continue
        confidence = HIGH if vocabulary.is_mining_scheme(endpoint.scheme) or known_pool(endpoint, indicators) else ""
        if not confidence and word in behind_flag and not endpoint.scheme and (endpoint.port or default):
            if miner_confidence is None:
                miner_confidence = _miner_confidence(argv, words, vocabulary)
            confidence = miner_confidence or (MEDIUM if vocabulary.is_login(given, endpoint.host) else "")
        if confidence:
            found[word] = reference_to("cmdline", endpoint, indicators, confidence, "its command line", default)
    return list(found.values())


def _miner_confidence(argv: Sequence[str], words: Sequence[str], vocabulary: MinerWords) -> str:
    """How certain it is that a command line is a miner's; "" when nothing says so."""
    name = argv[0].split(" ", 1)[0].rpartition("/")[2].rstrip(":") if argv else ""
    flags = next((signal for signal, _ in vocabulary.flags(words_of(argv))), "")
    long = (word for word in words if LEAST_WALLET <= len(word) <= MAX_WALLET_WORD)
    wallets = (wallet for word in long for wallet in find_wallets(word, 4))
    if flags == "miner_flags" or vocabulary.miner_name(name) or any(wallet.is_verified for wallet in wallets):
        return HIGH
    return MEDIUM if flags else ""


def _words(argv: Sequence[str], vocabulary: MinerWords) -> list[str]:
    """Every word of the command line; an argument may hold several, and a value may stick to its short option."""
    words = []
    for argument in argv:
        for word in WORDS.split(argument):
            if len(word) > 2 and word[:2] in vocabulary.pool_options:
                words += [word[:2], word[2:]]
            elif word:
                words.append(word)
    return words


def config_paths(argv: Sequence[str]) -> Iterator[str]:
    """The files that -c, --config or --config=FILE name."""
    for argument, following in zip(argv, [*argv[1:], ""]):
        flag, equals, value = argument.partition("=")
        if argument in CONFIG_OPTIONS:
            path = following
        elif equals and flag in CONFIG_OPTIONS:
            path = value
        elif argument.startswith("-c") and len(argument) > 2:
            path = argument[2:]
        else:
            continue
        # Behind -c of a shell or of Python stands a program, not a file name.
        if path and len(path) < 1024 and not re.search(r"[\s;|&$(]", path):
            yield path


def known_pool(endpoint: Endpoint, indicators: PoolIndicators) -> Optional[Listed]:
    """What the lists say of the domain of `endpoint`; None when it is in none."""
    found = indicators.listed_domain(endpoint.host)
    return found[1] if found else None


def reference_to(
    match_type: str,
    endpoint: Endpoint,
    indicators: PoolIndicators,
    confidence: str,
    where: str,
    default_port: Optional[int] = None,
) -> Reference:
    """The reference to `endpoint`, with the ports that it stands for: its own, `default_port`, or those of the listed pool."""
    listed = known_pool(endpoint, indicators)
    if endpoint.port is not None:
        ports: tuple[int, ...] = (endpoint.port,)
    elif default_port is not None:
        ports = (default_port,)
    else:
        # A bare name may just as well be an argument of curl's.
        ports = tuple(port for port in (_DEFAULT_PORT, *(listed.ports if listed else ())) if port not in _WEB_PORTS)
    return Reference(match_type, str(endpoint), ports, _address(endpoint.host), listed, confidence, where)


def _address(host: str) -> Optional[bytes]:
    try:
        return parse_address(host)
    except ValueError:
        return None
