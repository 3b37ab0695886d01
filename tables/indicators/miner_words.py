"""The words by which miners are known: their names and what these turn into, their options, their environment variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from tables.indicators.loader import load_yaml, miner_programs

_MAX_NAME = 255
_MAX_VALUE = 512
# Shorter names turn into other programs' too easily.
_LEAST_MUTATED = 5
_LOOKALIKES = str.maketrans("013457@$", "oieastas")
_PLATFORM = re.compile(
    r"(?:[-_.]?(?:v?\d+(?:\.\d+)*|linux|static|musl|gnu|x64|x86_64|amd64|i?[36]86|arm64|aarch64|cuda\d*|notls|cpu|gpu|bin|elf|focal|jammy|bionic))+"
)


class _Lists:
    """Lists of words by their kind, exact ones and those that only begin so."""

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        self.by_kind: dict[str, list[str]] = {}
        for entry in entries:
            self.by_kind.setdefault(entry["kind"], []).extend(entry["names"])

    def pattern(self, kind: str) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{name})" for name in self.by_kind[kind]), re.IGNORECASE)

    def exact(self, kind: str) -> frozenset[str]:
        return frozenset(name for name in self.by_kind[kind] if not name.endswith("*"))

    def beginnings(self, kind: str) -> tuple[str, ...]:
        return tuple(name[:-1] for name in self.by_kind[kind] if name.endswith("*"))


class MinerWords:
    """The names, options and variables of miner_programs.yaml and miner_words.yaml, as questions with answers."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        flags = _Lists(data["flags"])
        self._unmistakable = exact, _ = flags.exact("unmistakable"), flags.beginnings("unmistakable")
        self._miner_only = flags.exact("miner_only")
        self._subcommands = flags.exact("subcommands")
        self._algorithm_options = flags.exact("algorithm_option")
        self.pool_options = flags.exact("pool_option")
        self.user_options = flags.exact("user_option")
        self._login_pool_options = flags.exact("login_pool_option")
        self._password_options = flags.exact("password_option")
        self._session_options = flags.exact("session_option")
        self._pool_password = flags.pattern("pool_passwords")
        self._hidden_host = flags.pattern("hidden_hosts")
        self._algorithm = flags.pattern("algorithms")
        self._everyday = flags.pattern("everyday_algorithms")
        self._scheme = flags.pattern("mining_schemes")
        self._telling = exact | self._miner_only | self._subcommands | self._algorithm_options | self.pool_options
        variables = _Lists(data["environment"])
        self.pool_variable = variables.pattern("pool")
        self.wallet_variable = variables.pattern("wallet")
        self.miner_variable = variables.pattern("miner")
        names = sorted(miner_programs(), key=lambda name: (-len(name), name))
        self._program = re.compile(rf"(?<![\w-])(cpuminer[\w-]*|{'|'.join(map(re.escape, names))})(?![\w-])", re.IGNORECASE)
        self.telling_arguments = re.compile(_telling_arguments(self), re.DOTALL)
        self.telling_variables = re.compile(_telling_variables(self), re.DOTALL | re.IGNORECASE)
        self._mutable = {plain for name in miner_programs() if len(plain := _plain(name)) >= _LEAST_MUTATED}

    def miner_name(self, name: str) -> Optional[str]:
        """The known miner that `name`, a file name, is or is a mutation of; None when it is none. `t-rex-64` is no T-Rex."""
        if name in miner_programs():
            return name
        if len(name) > _MAX_NAME:
            return None
        stem = name.casefold().strip("._- ")
        for candidate in (stem, _PLATFORM.sub("", stem) if stem[:1].isalpha() else stem):
            plain = _plain(candidate)
            if plain in self._mutable:
                return plain
        return None

    def may_tell(self, words: Sequence[str]) -> bool:
        """Whether one of the arguments could give a flag or name a pool: a quick look at what almost never does."""
        return any(
            word.partition("=")[0] in self._telling or word[:2] in self._telling or word.startswith(self._unmistakable[1])
            for word in words
            if word[:1] == "-" or ":" in word
        )

    def flags(self, words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """`miner_flags` or `miner_flag`, with the options that say so."""
        exact, beginnings = self._unmistakable
        names = {word.partition("=")[0] for word in words if word.startswith("--")}
        # Some options are a miner's with that value only.
        names |= {f"{option}={value}" for option, value in options(words)} & (exact | self._miner_only)
        certain = sorted(name for name in names if name in exact or name.startswith(beginnings))
        certain += sorted(self._subcommands.intersection(words))
        likely = sorted(names & self._miner_only)
        algorithm = self.algorithm(words)
        if algorithm is not None:
            (likely if self._everyday.fullmatch(algorithm) else certain).append(f"algorithm {algorithm}")
        if certain or len(likely) > 1:
            yield "miner_flags", ", ".join([*certain, *likely])
        elif likely:
            yield "miner_flag", likely[0]

    def is_login(self, words: Sequence[str], host: str) -> bool:
        """Whether the options besides a pool's `host` are those of a login there, on a command line that says no more.

        A user and a password with what keeps the session open, or a password as only pools take, or a user at a host of a hidden
        network.
        """
        given = list(options(words))
        names = {option for option, _ in given}
        if names.isdisjoint(self.user_options):
            return False
        if self._hidden_host.fullmatch(host):
            return True
        if names.isdisjoint(self._login_pool_options) or names.isdisjoint(self._password_options):
            return False
        passwords = (value for option, value in given if option in self._password_options)
        return not names.isdisjoint(self._session_options) or any(self._pool_password.fullmatch(word) for word in passwords)

    def bare_scheme(self, words: Sequence[str]) -> Optional[str]:
        """The mining scheme that stands behind a pool option without a host, as where a script's variable was empty."""
        values = (value for option, value in options(words) if option in self.pool_options)
        return next((value for value in values if "+" in value and self.is_mining_scheme(value.rstrip(":/"))), None)

    def algorithm(self, argv: Sequence[str]) -> Optional[str]:
        """The mining algorithm (or coin) that an option names."""
        values = (value for option, value in options(argv) if option in self._algorithm_options)
        return next((value for value in values if self.is_algorithm(value)), None)

    def is_algorithm(self, value: str) -> bool:
        """Whether `value` is the name of a mining algorithm, for where such a name is expected: some are everyday words."""
        return len(value) < _MAX_VALUE and bool(self._algorithm.fullmatch(value) or self._everyday.fullmatch(value))

    def is_mining_scheme(self, scheme: str) -> bool:
        """Whether URLs with this scheme are of a mining protocol, stratum or a coin's node."""
        return bool(self._scheme.fullmatch(scheme))

    def program_in(self, text: str) -> Optional[str]:
        """The first known mining program that `text` names as a word, in small letters; cpuminer-ANYTHING is cpuminer's."""
        found = self._program.search(text)
        return found[1].lower() if found else None


# The configuration that xmrig and others are given.
CONFIG_OPTIONS = frozenset({"-c", "--config"})
_WALLET = "[48][0-9A-Za-z]{94,105}(?![^\\0])"


def _telling_arguments(words: MinerWords) -> bytes:
    """What begins an argument (they are parted by NULs) that can speak of mining; an option together with its value."""
    exact, beginnings = words._unmistakable
    alone = words.pool_options | words.user_options | words._algorithm_options | words._miner_only | CONFIG_OPTIONS | exact
    alone |= words._password_options | words._session_options | words._subcommands
    option = f"(?:{'|'.join(map(re.escape, sorted(alone)))})(?:=[^\\0]*|\\0(?!-)[^\\0]*)?(?![^\\0])"
    begun = f"(?:{'|'.join(map(re.escape, beginnings))})[^\\0]*"
    return f"(?<![^\\0])(?:{option}|{begun}|[^\\0:/ ]{{0,64}}://[^\\0]{{0,512}}|{_WALLET})".encode()


def _telling_variables(words: MinerWords) -> bytes:
    """The same for a variable of the environment, HOME among them."""
    names = "|".join(pattern.pattern for pattern in (words.pool_variable, words.wallet_variable, words.miner_variable))
    values = rf"(?:{words._scheme.pattern})://[^\0]{{0,512}}|[\w.-]{{1,253}}\.[a-z]{{2,63}}:\d{{2,5}}(?![^\0])|{_WALLET}"
    # The names' patterns take linear time on short names only.
    return rf"(?<![^\0])(?:HOME=/[^\0]*|(?=\w{{1,64}}=)(?:{names})=[^\0]*|[^\0=]{{1,256}}=(?:{values}))".encode()


@functools.lru_cache(maxsize=1)
def miner_words() -> MinerWords:
    """The built-in words, read when first asked for."""
    return MinerWords(load_yaml("miner_words.yaml"))


def _plain(name: str) -> str:
    """A name without what mutations change: case, separators, digits that look like letters."""
    return re.sub(r"[^a-z]", "", name.casefold().translate(_LOOKALIKES))


def words_of(argv: Sequence[str]) -> Sequence[str]:
    """The arguments; of a process that wrote its title over them as one, the words of that."""
    return argv[0].split() if len(argv) == 1 else argv[1:]


def options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value: `-o VALUE`, `--option=VALUE`, and `-oVALUE` of one letter."""
    for word, following in zip(words, [*words[1:], ""]):
        option, equals, value = word.partition("=")
        if equals:
            yield option, value
        elif word.startswith("-"):
            yield word, following
            if len(word) > 2 and word[1] != "-":
                yield word[:2], word[2:]
