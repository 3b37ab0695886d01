"""Judges what was seen of one process by miner_signals.yaml: which signals it gives, their score and confidence."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from tables.host.processes.process_memory import AnonymousMemory
from tables.indicators.loader import load_yaml
from tables.indicators.miner_words import miner_words, options, words_of
from tables.indicators.pools import HIGH, LOW, MEDIUM, PoolIndicators
from tables.indicators.process_names import ProcessNames, hidden_component, is_below
from tables.indicators.wallets import Wallet, find_wallets, is_cryptonote
from tables.reasons.mining.configs import MinerConfig
from tables.reasons.mining.references import LEAST_WALLET, MAX_WALLET_WORD, cmdline_references, parse_endpoint
from tables.text.programs import is_interpreter, resolve

_MIB = 1 << 20
# RANDOMX_DATASET_BASE_SIZE + RANDOMX_DATASET_EXTRA_SIZE, rounded up, and RANDOMX_ARGON_MEMORY (RandomX src/configuration.h).
DATASET_BYTES = 2080 * _MIB
_CACHE_BYTES = 256 * _MIB
# malloc's own header and alignment around one mapping.
_SLACK = 64 * 1024
_SCRATCHPAD_BYTES = 2 * _MIB
# What huge pages may hold besides, and threads that are counted at most.
_HUGE_SLACK = 64 * _MIB
_MAX_THREADS = 1024
_EVADES = "evades_limits"
_HOMES = ("/root", "/home")
# Groups of signals, as miner_signals.yaml names them.
_PLACE, _POSE = "place", "pose"
_LEAST_MEDIUM_SCORE = 40
_TEXT = re.compile(r"""[\s"'(){};|<>$]""")
_MINER_FILE = re.compile(r"\.?(.+)\.(?:log|json|conf|cfg|pid|txt)(?:\.\d+)?")


class Signal(NamedTuple):
    """One entry of miner_signals.yaml; its head comment says what each field means."""

    name: str
    description: str
    weight: int
    strength: str
    group: str
    must_match: tuple[Any, ...]
    must_not_match: tuple[Any, ...]


class Exemption(NamedTuple):
    """Programs for which the signals `ignores` say nothing, unless one of the others is seen as well.

    `is_system_program`: true only of such as lie in a system folder or below a home.
    """

    names: frozenset[str]
    ignores: frozenset[str]
    unless: frozenset[str]
    is_system_program: bool


class ConfigFile(NamedTuple):
    """A miner's configuration file, by the path at which the process sees it."""

    path: str
    content: MinerConfig


@dataclass(frozen=True)
class Facts:
    """What was seen of one process; what was not looked at is empty."""

    comm: str
    argv: Sequence[str]
    exe: Optional[str] = None
    threads: int = 1
    is_memfd: bool = False
    is_deleted: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    configs: Sequence[ConfigFile] = ()
    open_files: Sequence[str] = ()
    memory: Optional[AnonymousMemory] = None
    connections: Sequence[str] = ()
    marks: frozenset[str] = frozenset()
    packer: Optional[str] = None
    # How much of which GPU it keeps busy as miners do, in words.
    gpu: Optional[str] = None
    # What it does that hides something behind a limit of ours and that no honest program does; how many arguments it has,
    # where these are more than programs have as a rule.
    evasions: Sequence[str] = ()
    many_arguments: int = 0

    @property
    def program(self) -> str:
        """File name of the program, or of the script or module that an interpreter runs."""
        argv0 = self.argv[0] if self.argv else self.comm
        name = (self.exe or argv0).rpartition("/")[2]
        if not is_interpreter(name) and not _is_python(name):
            return name
        if "-m" in self.argv[1:-1] and self.argv[1:].index("-m") <= self._options():
            return self.argv[self.argv.index("-m", 1) + 1].partition(".")[0]
        found = resolve([name, *self.argv[1:]])
        return found.script.rpartition("/")[2] if found and found.script else name

    def _options(self) -> int:
        return next((at for at, word in enumerate(self.argv[1:]) if not word.startswith("-")), len(self.argv))


class Verdict(NamedTuple):
    """The signals of one process with the facts behind each, by name; what it mines, where that is known."""

    signals: dict[str, str]
    score: int
    confidence: str
    pool: Optional[str]
    wallet: Optional[Wallet]
    coin: Optional[str]
    algorithm: Optional[str]
    config_path: Optional[str]

    @property
    def evidence(self) -> str:
        """The facts behind the signals, in words."""
        return "; ".join(f"{name}: {fact}" for name, fact in sorted(self.signals.items()))


def _is_python(name: str) -> bool:
    return name.startswith(("python", "pypy"))


class MinerSignals:
    """The signals of miner_signals.yaml and the words of miner_words.yaml, and the judgement by them."""

    def __init__(self, data: Mapping[str, Any], names: ProcessNames) -> None:
        self.names = names
        self.signals = {
            entry["name"]: Signal(
                entry["name"], entry["description"], entry["weight"], entry["strength"], entry["group"],
                tuple(entry["must_match"]), tuple(entry["must_not_match"]),
            )
            for entry in data["signals"]
        }  # fmt: skip
        self.system_folders: tuple[str, ...] = tuple(name for entry in data["system_folders"] for name in entry["names"])
        self.exemptions = tuple(
            Exemption(
                frozenset(entry["names"]), frozenset(entry["ignores"]), frozenset(entry["unless"]), entry["is_system_program"]
            )
            for entry in data["exemptions"]
        )
        marks = data["binary_marks"]
        self.words = miner_words()
        self.binary_filter: bytes = marks["any_of"].encode()
        self.binary_marks = {entry["name"]: tuple(text.encode() for text in entry["strings"]) for entry in marks["marks"]}

    def is_context(self, name: str) -> bool:
        """Whether a signal only adds to others."""
        return self.signals[name].strength == "context"

    def judge(self, facts: Facts, indicators: PoolIndicators) -> Verdict:
        """All signals of a process, those left out that say nothing for such a program."""
        wallets = _Found()
        pools = _Found()
        found = {name: fact for name, fact in self._all(facts, indicators, wallets, pools) if fact}
        program = facts.program if found else ""
        for exemption in self.exemptions:
            if program in exemption.names and exemption.unless.isdisjoint(found) and self._is_itself(facts, exemption):
                found = {name: fact for name, fact in found.items() if name not in exemption.ignores}
        if facts.many_arguments and any(not self.is_context(name) for name in found):
            # Linkers and archivers are given as many.
            found.setdefault(_EVADES, f"{facts.many_arguments} arguments")
        algorithm = self.words.algorithm(words_of(facts.argv)) or next(
            (c.content.algorithm for c in facts.configs if c.content.algorithm), None
        )
        wallet = next((wallet for signal, wallet in wallets.items if signal in found), None)
        coin = next((config.content.coin for config in facts.configs if config.content.coin), None)
        pool, pool_coin = next(((pool, coin) for signal, (pool, coin) in pools.items if signal in found), (None, None))
        return Verdict(
            found,
            min(100, sum(self.signals[name].weight for name in found)),
            self._confidence(found),
            pool,
            wallet,
            (wallet.coin if wallet else None) or coin or pool_coin,
            algorithm,
            facts.configs[0].path if facts.configs and "miner_config" in found else None,
        )

    def _is_itself(self, facts: Facts, exemption: Exemption) -> bool:
        """Whether the program goes by its own name and, where the exemption wants that, lies where such programs do."""
        exe = facts.exe or ""
        name = exe.rpartition("/")[2]
        if not exe.startswith("/") or name not in exemption.names:
            # The path is not known, or the name is that of a script and the path its interpreter's.
            return True
        claimed = (facts.argv[0] if facts.argv else name).split(" ", 1)[0].rpartition("/")[2].lstrip("-").rstrip(":")
        if claimed not in exemption.names:
            return False
        # A user's own build of a tool lies in the home folder; `unless` ends the exemption in its odd corners.
        return not exemption.is_system_program or is_below(exe, (*self.system_folders, *_HOMES)) is not None

    def _confidence(self, found: Iterable[str]) -> str:
        signals = [self.signals[name] for name in found]
        strong = {signal.group for signal in signals if signal.strength == "strong"}
        # An odd place and a false name say that something hides, not what it does.
        is_hiding = any(signal.group == _PLACE for signal in signals) and bool(strong - {_POSE})
        if len(strong) > 1 or is_hiding or any(signal.strength == "unmistakable" for signal in signals):
            return HIGH
        return MEDIUM if strong or sum(signal.weight for signal in signals) >= _LEAST_MEDIUM_SCORE else LOW

    def _all(
        self, facts: Facts, indicators: PoolIndicators, wallets: _Found, pools: _Found
    ) -> Iterator[tuple[str, Optional[str]]]:
        name = self._name(facts)
        yield "miner_name", name
        words = words_of(facts.argv)
        flags = dict(self.words.flags(words))
        addresses = dict(self._wallets(words, wallets))
        yield from flags.items()
        yield from addresses.items()
        yield from self._pools(words, bool(name or flags or addresses), indicators, pools)
        wallet = self._wallet_environment(facts.environ, wallets)
        yield "wallet_environment", wallet
        yield "pool_environment", self._pool_environment(facts.environ, bool(wallet), indicators, pools)
        for config in facts.configs:
            yield "miner_config", config.path
            pools.items += [("miner_config", (text, _listed_coin(text, indicators))) for text in config.content.pools]
            verified = [wallet for wallet in config.content.wallets if wallet.is_verified]
            wallets.items += [("wallet_config", wallet) for wallet in verified]
            yield "wallet_config", ", ".join(wallet.address for wallet in verified[:1])
        files = [(path, _MINER_FILE.fullmatch(path.rpartition("/")[2])) for path in facts.open_files]
        yield "open_miner_file", next((path for path, match in files if match and self.words.miner_name(match[1])), None)
        yield "msr_device", next((path for path in facts.open_files if re.fullmatch(r"/dev/cpu/\d+/msr", path)), None)
        yield "randomx_memory", randomx_memory(facts.memory, facts.threads) if facts.memory else None
        yield "gpu_busy", facts.gpu
        yield "pool_connection", ", ".join(sorted(set(facts.connections)))
        yield "miner_binary", f"holds strings of {', '.join(sorted(facts.marks))}" if len(facts.marks) > 1 else None
        yield "packed", f"packer {facts.packer}" if facts.packer else None
        yield "kernel_thread_pose", self._pose(facts)
        yield _EVADES, "; ".join(facts.evasions)
        yield from self._place(facts)

    def _name(self, facts: Facts) -> Optional[str]:
        exe = (facts.exe or "").rpartition("/")[2]
        argv0 = (facts.argv[0] if facts.argv else "").split(" ", 1)[0].rpartition("/")[2]
        candidates = [("the program", exe), ("argv[0]", argv0)]
        if self.names.launchers.match(exe) and len(facts.argv) > 1:
            candidates.append(("the program it loads", facts.argv[1].rpartition("/")[2]))
        # A script started by its own path lends its name to the interpreter's comm.
        if not self.names.interpreters.match(exe):
            candidates.append(("comm", facts.comm))
        return next((f"{what} `{name}` is {known}" for what, name in candidates if (known := self.words.miner_name(name))), None)

    def _pools(
        self, words: Sequence[str], is_miner: bool, indicators: PoolIndicators, pools: _Found
    ) -> Iterator[tuple[str, Optional[str]]]:
        # Text with blanks, quotes or brackets in one argument is a script, a message or a query about pools.
        single = [word for word in words if not _TEXT.search(word)]
        yield "stratum_url", self.words.bare_scheme(single)
        for reference in cmdline_references(single, indicators, MEDIUM if is_miner else ""):
            scheme, separator, _ = reference.endpoint.partition("://")
            signal = "stratum_url" if separator and self.words.is_mining_scheme(scheme) else "pool_argument"
            pools.items.append((signal, (reference.endpoint, reference.listed.coin if reference.listed else None)))
            yield signal, reference.endpoint

    def _wallets(self, words: Sequence[str], wallets: _Found) -> Iterator[tuple[str, Optional[str]]]:
        users = {value for option, value in options(words) if option in self.words.user_options}
        for word in words:
            if not LEAST_WALLET <= len(word) <= MAX_WALLET_WORD or " " in word:
                continue
            for wallet in find_wallets(word, 4):
                if wallet.is_verified:
                    is_user = any(wallet.address in value for value in users)
                    signal = "wallet_argument" if is_user or is_cryptonote(wallet) else "coin_address"
                    wallets.items.append((signal, wallet))
                    yield signal, wallet.address

    def _pool_environment(
        self, environ: Mapping[str, str], has_wallet: bool, indicators: PoolIndicators, pools: _Found
    ) -> Optional[str]:
        is_miner = has_wallet or any(self.words.miner_variable.fullmatch(name) for name in environ)
        for name, value in sorted(environ.items()):
            endpoint = parse_endpoint(value) if len(value) < MAX_WALLET_WORD else None
            if endpoint is None or endpoint.scheme.startswith("http") or "proxy" in name.lower():
                continue
            listed = indicators.listed_domain(endpoint.host)
            is_plain = not endpoint.scheme and endpoint.port is not None and self.words.pool_variable.fullmatch(name)
            if self.words.is_mining_scheme(endpoint.scheme) or listed or (is_plain and is_miner):
                pools.items.append(("pool_environment", (str(endpoint), listed[1].coin if listed else None)))
                return f"{name}={endpoint}"
        return None

    def _wallet_environment(self, environ: Mapping[str, str], wallets: _Found) -> Optional[str]:
        # A shop has a Bitcoin address for payments; a miner's container also has a pool.
        is_miner = any(self.words.pool_variable.fullmatch(name) or self.words.miner_variable.fullmatch(name) for name in environ)
        for name, value in sorted(environ.items()):
            for wallet in find_wallets(value, 1) if len(value) < MAX_WALLET_WORD else ():
                is_payout = is_miner and self.words.wallet_variable.fullmatch(name)
                if wallet.is_verified and (is_cryptonote(wallet) or is_payout):
                    wallets.items.append(("wallet_environment", wallet))
                    return f"{name}={wallet.address}"
        return None

    def _pose(self, facts: Facts) -> Optional[str]:
        candidates = [*facts.argv[:1], facts.comm]
        return next((f"calls itself `{name}`" for name in candidates if name and self.names.claims_kernel_thread(name)), None)

    def _place(self, facts: Facts) -> Iterator[tuple[str, Optional[str]]]:
        path = facts.exe or ""
        if facts.is_memfd:
            yield "memfd_exe", path
            return
        yield "deleted_exe", path if facts.is_deleted else None
        yield "temp_exe", path if is_below(path, self.names.writable_folders) else None
        if hidden_component(path) is not None and not self.names.is_tool_path(path, ()):
            yield "hidden_exe", path


class _Found:
    """What signals named, with the signal of each."""

    def __init__(self) -> None:
        self.items: list[tuple[str, Any]] = []


def _listed_coin(endpoint: str, indicators: PoolIndicators) -> Optional[str]:
    parsed = parse_endpoint(endpoint)
    listed = indicators.listed_domain(parsed.host) if parsed else None
    return listed[1].coin if listed else None


def randomx_memory(memory: AnonymousMemory, threads: int) -> Optional[str]:
    """Say which memory is as large as RandomX's; None when none is."""
    for size in memory.mappings:
        for known in (DATASET_BYTES, DATASET_BYTES + _CACHE_BYTES):
            if known <= size <= known + _SLACK:
                return f"an anonymous mapping of {size // _MIB} MiB"
    most = DATASET_BYTES + _CACHE_BYTES + min(threads, _MAX_THREADS) * _SCRATCHPAD_BYTES + _HUGE_SLACK
    return f"{memory.huge // _MIB} MiB of private huge pages" if DATASET_BYTES <= memory.huge <= most else None


@functools.lru_cache(maxsize=1)
def miner_signals(names: ProcessNames) -> MinerSignals:
    """The built-in signals, read when first asked for."""
    return MinerSignals(load_yaml("miner_signals.yaml"), names)
