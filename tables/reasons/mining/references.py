"""Which pools a process names itself: in its command line, or in a miner's configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.indicators.networks import parse_address
from tables.indicators.pools import HIGH, LOW, Listed, PoolIndicators

# xmrig's port for a pool that is given without one (src/base/net/stratum/Pool.h).
_DEFAULT_PORT = 3333
_WEB_PORTS = frozenset({80, 443})
_SPLIT = re.compile(r"""[\s"'`,;=<>|()\\]+""")
_STRATUM = re.compile(r"stratum[0-9]?([+][a-z]+)?|daemon[+]https?", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_POOL_FLAGS = frozenset({"-o", "--url", "--pool", "--server", "-P", "-s", "-S"})
_PORT_FLAGS = frozenset({"--port"})
_CONFIG_FLAGS = frozenset({"-c", "--config"})
# Options, algorithms and wallets that miners take and hardly anything else does.
_MINER_WORDS = re.compile(
    r"--(?:donate-level|donate-over-proxy|nicehash|rig-id|randomx-[a-z-]+|cpu-max-threads-hint|tls-fingerprint|"
    r"huge-pages-jit|argon2-impl|cuda-devices|opencl-devices|coin)|"
    r"(?:rx|cn|cn-lite|cn-heavy|cn-pico|gr|argon2)/[0-9a-z-]+|randomx|cryptonight|ghostrider|kawpow|etchash|autolykos2?|verushash|"
    r"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?(?:[.+].{0,200})?",
    re.IGNORECASE,
)
_MINER_KEYS = re.compile(
    r'"(?:donate-level|donate-over-proxy|nicehash|rig-id|randomx|tls-fingerprint|cryptonight|daemon-poll-interval)"\s*:'
)
_POOLS_KEY = re.compile(r'"pools"\s*:\s*\[')
_URL_KEY = re.compile(r'"(?:url|pool_address)"\s*:\s*"([^"\\\s]{1,512})"')


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


def cmdline_references(argv: Sequence[str], indicators: PoolIndicators) -> list[Reference]:
    """The pools that a command line names.

    That is a stratum URL, a listed pool domain that is no web address, and for a command line with a miner's options, algorithm
    or wallet also the plain host:port behind -o, --url and the like.
    """
    words = _words(argv)
    default = next((_port(value) for flag, value in zip(words, words[1:]) if flag in _PORT_FLAGS), None)
    behind_flag = {value for flag, value in zip(words, words[1:]) if flag in _POOL_FLAGS}
    is_miner: Optional[bool] = None
    found: dict[str, Reference] = {}
    for word in words:
        if "." not in word and "://" not in word and word not in behind_flag:
            continue
        endpoint = parse_endpoint(word)
        if endpoint is None:
            continue
        is_named = _is_stratum(endpoint) or _known(endpoint, indicators) is not None
        if not is_named and word in behind_flag and endpoint.port is not None and not endpoint.scheme:
            if is_miner is None:
                is_miner = any(_MINER_WORDS.fullmatch(other) for other in words)
            is_named = is_miner
        if is_named and not endpoint.scheme.startswith("http"):
            found[word] = _reference("cmdline", endpoint, indicators, HIGH, "its command line", default)
    return list(found.values())


def _words(argv: Sequence[str]) -> list[str]:
    """Every word of the command line; an argument may hold several, and a value may stick to its short option."""
    words = []
    for argument in argv:
        for word in _SPLIT.split(argument):
            if word[:2] in ("-o", "-c") and len(word) > 2:
                words += [word[:2], word[2:]]
            elif word:
                words.append(word)
    return words


def config_references(text: str, path: str, indicators: PoolIndicators) -> list[Reference]:
    """The pools that a configuration file names: `pools[].url` of JSON (comments allowed), stratum URLs, listed domains.

    A plain host:port in `pools` of a file without any other key of a miner's has low confidence: connection pools of
    databases are written so too.
    """
    found: dict[Endpoint, Reference] = {}
    is_miner = bool(_MINER_KEYS.search(text))
    urls = _URL_KEY.findall(text) if _POOLS_KEY.search(text) or is_miner else []
    for word in (*urls, *_SPLIT.split(text)):
        if "." not in word and "://" not in word and ":" not in word:
            continue
        endpoint = parse_endpoint(word)
        if endpoint is None or endpoint in found or endpoint.scheme.startswith("http"):
            continue
        is_named = _is_stratum(endpoint) or _known(endpoint, indicators) is not None
        if is_named or (word in urls and endpoint.port is not None and not endpoint.scheme):
            confidence = HIGH if is_named or is_miner else LOW
            found[endpoint] = _reference("config", endpoint, indicators, confidence, path, None)
    return list(found.values())


def config_paths(argv: Sequence[str]) -> Iterator[str]:
    """The files that -c, --config or --config=FILE name."""
    for argument, following in zip(argv, [*argv[1:], ""]):
        flag, equals, value = argument.partition("=")
        if argument in _CONFIG_FLAGS:
            path = following
        elif equals and flag in _CONFIG_FLAGS:
            path = value
        elif argument.startswith("-c") and len(argument) > 2:
            path = argument[2:]
        else:
            continue
        # Behind -c of a shell or of Python stands a program, not a file name.
        if path and len(path) < 1024 and not re.search(r"[\s;|&$(]", path):
            yield path


def _is_stratum(endpoint: Endpoint) -> bool:
    return bool(_STRATUM.fullmatch(endpoint.scheme))


def _known(endpoint: Endpoint, indicators: PoolIndicators) -> Optional[Listed]:
    found = indicators.listed_domain(endpoint.host)
    return found[1] if found else None


def _reference(
    match_type: str, endpoint: Endpoint, indicators: PoolIndicators, confidence: str, where: str, default_port: Optional[int]
) -> Reference:
    listed = _known(endpoint, indicators)
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
