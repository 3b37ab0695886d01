"""The accounts at mining pools for which command lines mine, where those are no wallets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.indicators.miner_words import miner_words, options
from tables.indicators.wallets import find_wallets

_POOL = re.compile(r"(?:[a-z0-9+]{2,24}://)?([A-Za-z0-9][A-Za-z0-9.-]{2,252}):[0-9]{2,5}/?")
# `account.worker`, `account/worker`, `account+difficulty`, `account:password`.
_ACCOUNT = re.compile(r"([A-Za-z0-9_@-]{5,64})(?:[./+:].*)?")
# What anybody calls himself, and what stands in examples: YOUR_WALLET_ADDRESS.
_NOBODY = frozenset(
    ["your", "my", "the", "wallet", "address", "addr", "account", "user", "username", "name", "worker", "rig", "miner", "pool",
     "id", "here", "xmr", "monero", "default", "anonymous", "xmrig", "test", "example", "mywallet", "yourwallet", "walletaddress",
     "yourwalletaddress", "yourusername"],
)  # fmt: skip
_SIGNS = re.compile(r"[_@-]")


def pool_accounts(text: str) -> Iterator[str]:
    """`account@pool` of a command line, the pool by the last two labels of its name."""
    words = [word.strip("'\"") for word in text.split()]
    given = list(options(words))
    servers = (_POOL.fullmatch(value) for option, value in given if option in miner_words().pool_options)
    pool = next((match[1].lower() for match in servers if match), None)
    if pool is None:
        return
    for option, value in given:
        match = _ACCOUNT.fullmatch(value) if option in miner_words().user_options else None
        if match and not _is_nobodys(match[1]) and not find_wallets(value):
            yield f"{match[1]}@{_site(pool)}"


def _is_nobodys(account: str) -> bool:
    return {word for word in _SIGNS.split(account.lower()) if word} <= _NOBODY


def _site(host: str) -> str:
    """A pool whatever its region's server is called."""
    return host if host.replace(".", "").isdigit() else ".".join(host.split(".")[-2:])
