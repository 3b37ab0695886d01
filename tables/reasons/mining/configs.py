"""Whether a text is a miner's configuration, and what it says: pools, wallets, coin, algorithm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from tables.indicators.miner_words import miner_words
from tables.indicators.wallets import EIP55, Wallet, find_wallets
from tables.reasons.mining.references import Endpoint, parse_endpoint
from tables.text.lenient_json import Json, parse_json

_MAX_SETTINGS = 4096
# The settings of a pool lie two levels deep, three in some; the rows of a report or a log lie deeper than this.
_MAX_DEPTH = 5
_MAX_POOLS = 32
_MAX_WALLETS = 16
# A longer text is a program or a document, not a file of settings, or of options.
_MAX_TEXT = 16 * 1024
_MAX_OPTIONS_TEXT = 4 * 1024


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names of settings, in small letters without hyphens and underscores; a number at the end (pool1, url2) is left out.
_POOL = _words("url pool pools pooladdress poolurl server epool zpool o host poolhost baseurl")
_PORT = _words("port poolport")
_USER = _words(
    "user wallet wallets username walletaddress pooluser poolwallet login ewal zwal wal u userpass payoutid qubicaddress"
)
_ALGORITHM = _words("algo algorithm a cryptonighttype")
_COIN = _words("coin currency")
_API = _words("apibindhttp apibind apiport httpport api")
# Settings that miners have and hardly anything else does.
_MINER_ONLY = _words("""
    donatelevel donateoverproxy randomx rigid nicehash hugepagesjit maxthreadshint cpumaxthreadshint argon2impl
    tlsfingerprint pauseonactive pauseonbattery randomxmode randomx1gbpages randomxwrmsr scratchpadprefetchmode
    cryptonighttype poollist poolconfigs ccclient intensity gpuplatform gpureportinterval exitoncudaerror nowatchdog
    rigname sortpools ewal zwal epool zpool cudadevices opencldevices lhrtune usenicehash selfselect
    """)
# What xmrig's own wizard writes at the least: each of these is found elsewhere, all of one group together is not.
_MINER_TOGETHER = (_words("opencl cuda"), _words("autosave cpu url user"))
# A client of qubic.li logs in over a web socket with a token: its names for that and for the threads that compute.
_QUBIC_TOKEN, _QUBIC_WORK = _words("accesstoken payoutid qubicaddress"), _words("amountofthreads trainer qubicaddress")
_PROXY_ONLY = _words("customdiff customdiffstats accesslogfile reusetimeout workers")
# Without one of these in it, a text is no miner's configuration.
_HINTS = (b"pool", b"stratum", b"wallet", b"donate", b"url", b"algo", b"-o ", b"server", b"wal ")
_TRANSPORT = re.compile(r"|tcp|ssl|tls", re.IGNORECASE)
_WEB_SOCKET = re.compile(r"wss?|https?", re.IGNORECASE)

_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+|set[ \t]+)?["']?([A-Za-z][\w.-]{0,40})["']?[ \t]*[=:][ \t]*["']?([^\s"'#;,]{1,512})""",
    re.MULTILINE,
)
_SECTION = re.compile(r"^[ \t]*\[([\w/-]{1,40})\][ \t]*$", re.MULTILINE)
_OPTION = re.compile(r"""(?<![\w-])(-{1,2}[A-Za-z][\w-]{0,40})(?:[ \t]*=[ \t]*|[ \t]+)["']?([^\s"'<>|;]{1,512})""")


class MinerConfig(NamedTuple):
    """What a miner's configuration says; passwords and tokens in it are left out.

    `program` is the miner that it is written for, None when several could read it. `pools` are `host:port`, with scheme
    where one is written, without user names. `http_api` is the address at which the miner answers about itself.
    `reasons` are sorted words that say why the text counts as a miner's: algorithm, miner_keys, options (a text with
    command line options in it), stratum_url, wallet.
    """

    program: Optional[str]
    pools: tuple[str, ...]
    wallets: tuple[Wallet, ...]
    coin: Optional[str]
    algorithm: Optional[str]
    http_api: Optional[str]
    donate_level: Optional[int]
    reasons: tuple[str, ...]


class Setting(NamedTuple):
    """One name with its value as text; settings that belong together (one object, one section) have the same `group`."""

    group: int
    name: str
    value: str


def read_miner_config(data: bytes) -> Optional[MinerConfig]:
    """`parse_miner_config` of a file's bytes; what cannot be one by a quick look is not parsed.

    Of a file above 4 KiB the blanks and comments are left out already (`read_settings`).
    """
    lower = data.lower()
    return parse_miner_config(data.decode("utf-8", "surrogateescape")) if any(hint in lower for hint in _HINTS) else None


def parse_miner_config(text: str) -> Optional[MinerConfig]:
    """Read a miner's configuration (JSON with comments, INI, or a file of options); None when `text` is none.

    A pool alone is not enough, since connection pools of databases look alike: it takes a stratum URL, a wallet whose
    checksum is right, settings that only miners have, or a mining algorithm with a user.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith(("{", '"', "/")):
        try:
            document = parse_json(text)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return _judge(_Settings(list(_flatten(document))), _program_of_json(document))
    if len(text) > _MAX_TEXT:
        return None
    assigned = _Settings(_assignments(text))
    options = _Settings([Setting(0, _plain(found[1]), found[2]) for found in _OPTION.finditer(text)][:_MAX_SETTINGS])
    program = miner_words().program_in(text)
    found = _judge(options, program) if len(text) <= _MAX_OPTIONS_TEXT else None
    # A stratum URL behind some option is in many a note and test.
    if found is not None and found.reasons != ("stratum_url",):
        return found._replace(reasons=tuple(sorted((*found.reasons, "options"))))
    return _judge(assigned, "nanominer" if assigned.has({"rigname", "sortpools"}) else program)


class _Settings:
    """All settings of one text, by name."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self.settings = settings
        self.names = {setting.name for setting in settings}

    def has(self, names: set[str] | frozenset[str]) -> bool:
        return not self.names.isdisjoint(names)

    def has_all(self, names: frozenset[str]) -> bool:
        return self.names >= names

    def values(self, names: frozenset[str]) -> Iterator[str]:
        return (setting.value for setting in self.settings if setting.name in names)

    @property
    def is_qubic(self) -> bool:
        """Whether these are a client's that mines Qubic."""
        return self.has(_QUBIC_TOKEN) and self.has(_QUBIC_WORK) and self.has(_words("pooladdress baseurl"))

    def pools(self) -> list[Endpoint]:
        """The endpoints that stand where a pool does, with a port that is written apart."""
        ports = {setting.group: setting.value for setting in self.settings if setting.name in _PORT}
        found: dict[Endpoint, None] = {}
        for group, name, value in self.settings:
            if name not in _POOL or not value or len(found) >= _MAX_POOLS:
                continue
            endpoint = parse_endpoint(value)
            if endpoint is not None and endpoint.port is None and group in ports:
                endpoint = parse_endpoint(f"{value}:{ports[group]}") or endpoint
            if endpoint is None:
                continue
            is_stratum = miner_words().is_mining_scheme(endpoint.scheme)
            is_plain = endpoint.port is not None and _TRANSPORT.fullmatch(endpoint.scheme)
            if is_stratum or is_plain or (self.is_qubic and _WEB_SOCKET.fullmatch(endpoint.scheme)):
                found[endpoint] = None
        return list(found)


def _judge(settings: _Settings, program: Optional[str]) -> Optional[MinerConfig]:
    pools = settings.pools()
    wallets: dict[Wallet, None] = {}
    users = [value for value in settings.values(_USER) if value]
    for user in users[:_MAX_POOLS]:
        wallets.update(dict.fromkeys(find_wallets(user, 2)))
    algorithm = next((value for value in settings.values(_ALGORITHM) if miner_words().is_algorithm(value)), None)
    reasons = {
        "stratum_url": any(miner_words().is_mining_scheme(pool.scheme) for pool in pools),
        "wallet": any(wallet.is_verified for wallet in wallets),
        "miner_keys": settings.has(_MINER_ONLY) or settings.is_qubic or any(map(settings.has_all, _MINER_TOGETHER)),
        "algorithm": algorithm is not None,
    }
    # Programs that trade name Ethereum addresses, and pools of another kind.
    is_paid = any(wallet.is_verified and wallet.kind != EIP55 for wallet in wallets)
    enough = reasons["stratum_url"] or is_paid or reasons["miner_keys"] or (reasons["algorithm"] and bool(users))
    # Nanominer knows pools by itself.
    if not (pools and enough) and not (reasons["wallet"] and reasons["miner_keys"]):
        return None
    level = next(iter(settings.values(frozenset({"donatelevel"}))), "")
    coin = next((value for value in settings.values(_COIN) if re.fullmatch(r"[\w-]{2,20}", value)), None)
    return MinerConfig(
        program=program,
        pools=tuple(str(pool) for pool in pools),
        wallets=tuple(wallets)[:_MAX_WALLETS],
        coin=coin or next((wallet.coin for wallet in wallets if wallet.is_verified), None),
        algorithm=algorithm,
        http_api=_http_api(settings),
        donate_level=int(level) if re.fullmatch(r"[0-9]{1,3}", level) else None,
        reasons=tuple(sorted(reason for reason, holds in reasons.items() if holds)),
    )


def _http_api(settings: _Settings) -> Optional[str]:
    """Where the miner answers about itself: xmrig's `http` object, or the one setting that other miners have."""
    parts = {setting.name: setting.value for setting in settings.settings if setting.name.startswith("http.")}
    if parts.get("http.enabled") == "true":
        return f"{parts.get('http.host', '127.0.0.1')}:{parts.get('http.port', '0')}"
    return next(
        (value for value in settings.values(_API) if re.fullmatch(r"(?:[\w.:\[\]-]{1,64}:)?[1-9][0-9]{0,4}", value)), None
    )


def _flatten(document: Json, name: str = "", depth: int = 0, group: Optional[Iterator[int]] = None) -> Iterator[Setting]:
    """The scalars in `document` under the names next to them; the members of xmrig's `http` as http.NAME."""
    groups = iter(range(1, _MAX_SETTINGS)) if group is None else group
    if depth > _MAX_DEPTH:
        return
    if isinstance(document, dict):
        number = next(groups, 0)
        for key, value in document.items():
            plain = _plain(key)
            if isinstance(value, (dict, list)):
                # A name that only says "there is one" counts as well: "randomx": {…}.
                yield Setting(number, plain, "")
                yield from _flatten(value, plain, depth + 1, groups)
            else:
                yield Setting(number, f"http.{plain}" if name == "http" else plain, _text(value))
    elif isinstance(document, list):
        number = next(groups, 0)
        for value in document:
            if isinstance(value, (dict, list)):
                yield from _flatten(value, name, depth + 1, groups)
            else:
                yield Setting(number, name, _text(value))


def _text(value: Json) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)[:1024]


def _assignments(text: str) -> list[Setting]:
    sections = [found.start() for found in _SECTION.finditer(text)]
    found = [
        Setting(sum(start < match.start() for start in sections[:64]), _plain(match[1]), match[2])
        for match in _ASSIGNMENT.finditer(text)
    ]
    headings = (match[1] for match in _SECTION.finditer(text))
    algorithms = [Setting(0, "algo", heading) for heading in headings if miner_words().is_algorithm(heading)]
    return (algorithms + found)[:_MAX_SETTINGS]


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]|\d+$", "", name[:64].lower()) or name[:64]


def _program_of_json(document: dict[str, Json]) -> Optional[str]:
    """The program whose settings these are, by names that only it has."""
    names = {_plain(key) for key in document}
    if any(_Settings(list(_flatten(value))).is_qubic for value in document.values() if isinstance(value, dict)):
        return "qli-client"
    pools = document.get("pools")
    entries = {_plain(key) for entry in pools if isinstance(entry, dict) for key in entry} if isinstance(pools, list) else set()
    if pools and "bind" in names and names & _PROXY_ONLY:
        return "xmrig-proxy"
    if names & {"donatelevel", "randomx", "donateoverproxy"} or entries & {"rigid", "nicehash", "keepalive", "tlsfingerprint"}:
        return "xmrig"
    if names & {"poollist"} or {"pooladdress", "walletaddress"} <= names:
        return "xmr-stak"
    if names & {"apibindhttp", "gpureportinterval", "exitoncudaerror", "lhrtune"}:
        return "t-rex"
    if "poolconfigs" in names:
        return "bzminer"
    if "DEFAULTS" in document or {"POOL", "USER"} <= {
        key for value in document.values() if isinstance(value, dict) for key in value
    }:
        return "lolminer"
    if {"pool", "wallet"} <= entries:
        return "srbminer-multi"
    if entries and names & {"intensity", "gpuplatform", "apilisten", "kernelpath"}:
        return "cgminer"
    if {"url", "user", "algo"} <= names:
        return "nbminer" if names & {"api", "nowatchdog", "fidelity", "driver"} else "cpuminer"
    return None
