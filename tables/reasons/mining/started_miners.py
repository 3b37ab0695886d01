"""Whether a command that something starts is a miner's, by the words by which running processes are told."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from tables.indicators.miner_words import miner_words, options
from tables.indicators.pools import HIGH, builtin_pool_names
from tables.indicators.process_names import COMM_LENGTH, process_names
from tables.reasons.mining.references import cmdline_references
from tables.reasons.mining.signals import Facts, miner_signals
from tables.text.programs import Invocation, is_system_program

_ENVIRONMENT = frozenset({"pool_environment", "wallet_environment"})


def starts_miner(found: Invocation) -> bool:
    """Whether the program has a miner's name or options, or is given a mining pool; words of searches and the like are not."""
    name, arguments = found.name, found.arguments
    if _is_miner_name(name):
        return True
    words = miner_words()
    if not words.may_tell(arguments) or (name in _handlers() and is_system_program(found.program)):
        return False
    if any(signal == "miner_flags" for signal, _ in words.flags(arguments)) or words.bare_scheme(arguments):
        return True
    given = {option for option, _ in options(arguments)}
    return not given.isdisjoint(words.pool_options) and bool(cmdline_references((name, *arguments), builtin_pool_names()))


def mines_by_environment(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the variables with which a program is started tell a miner's pool or wallet, beyond doubt."""
    if not environ or not argv:
        return False
    name = argv[0].rpartition("/")[2]
    verdict = miner_signals(process_names()).judge(
        Facts(comm=name[:COMM_LENGTH], argv=argv, exe=argv[0], environ=environ), builtin_pool_names()
    )
    return verdict.confidence == HIGH and not _ENVIRONMENT.isdisjoint(verdict.signals)


@functools.lru_cache(maxsize=4096)
def _is_miner_name(name: str) -> bool:
    return miner_words().miner_name(name) is not None


@functools.lru_cache(maxsize=1)
def _handlers() -> frozenset[str]:
    """Programs whose arguments may speak of miners without one being started."""
    return frozenset().union(*(exemption.names for exemption in miner_signals(process_names()).exemptions))
