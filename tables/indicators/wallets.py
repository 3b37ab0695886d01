"""Which words of a text are wallet addresses: candidates by their form, then each coin's own checksum."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.wallet_checksums import (
    BECH32,
    BECH32M,
    base58_bytes,
    base58check_payload,
    bech32_data,
    cryptonote_bytes,
    cryptonote_tag,
    is_cashaddr,
    is_cryptonote_sum,
    is_eip55,
    is_ergo,
)

# What `Wallet.kind` says of an address that carries no checksum to verify.
UNVERIFIED = "unverified"
# Addresses of programs on Ethereum (contracts) look like those of people.
EIP55 = "eip55"

# The shortest base58check address, and the longest integrated CryptoNote one.
_SHORTEST, _LONGEST = 26, 114
# From here on a word can only be a CryptoNote address, whose sum takes half a millisecond; a hostile text may be full of them.
_LONG = 90
_MAX_LONG_CANDIDATES = 512
_MAX_CANDIDATES = 20_000
_RUN = re.compile(rf"(?<![0-9A-Za-z])[0-9A-Za-z]{{{_SHORTEST},{_LONGEST + 2}}}(?![0-9A-Za-z])")
# As many letters before a word as the longest prefix, its colon, and one more.
_BEFORE = 13
_TICKER = re.compile(r"(?<![0-9A-Za-z])([A-Za-z]{2,11}):$")
# An address may stick to a short option (-uADDRESS), a backslash escape or a percent escape.
_ESCAPES = {"-": 1, "\\": 1, "%": 2}
_KEYS = 64
_CHECKSUM = 4
_PAYMENT_ID = 8
_KINDS = {"standard": _KEYS, "subaddress": _KEYS, "integrated": _KEYS + _PAYMENT_ID}
_HASH = 20
_ETHEREUM = re.compile(r"(?:0[xX])?([0-9a-fA-F]{40})")
_ERGO_LENGTH = 51


class Wallet(NamedTuple):
    """An address as it was written (without worker name), the coin's ticker, and which kind of address it is.

    `coin` is what an Unmineable login says is paid out, else what the address itself says; coins that share a form are
    separated by a slash. `kind` is `unverified` for 0x and 40 hexadecimal digits without the upper and lower case that
    checks an Ethereum address: such a word may as well be anything else, and is no sign of mining by itself.
    """

    address: str
    coin: str
    kind: str

    @property
    def is_verified(self) -> bool:
        """Whether the address carries a checksum, and it is right."""
        return self.kind != UNVERIFIED


class Forms(NamedTuple):
    """What wallets.yaml says, ready to be looked up."""

    cryptonote: Mapping[int, tuple[str, str]]
    base58check: Mapping[bytes, tuple[str, str]]
    nicehash: Mapping[str, tuple[str, bytes]]
    bech32: Mapping[str, tuple[str, Optional[int]]]
    colon_bech32: Mapping[str, tuple[str, Optional[int]]]
    cashaddr: Mapping[str, str]
    payout_coins: frozenset[str]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Forms:
        """The forms of the loaded YAML document."""
        return cls(
            {entry[kind]: (entry["coin"], kind) for entry in data["cryptonote"] for kind in _KINDS if kind in entry},
            {
                bytes.fromhex(entry[kind]): (entry["coin"], kind)
                for entry in data["base58check"]
                for kind in ("p2pkh", "p2sh")
                if kind in entry
            },
            {entry["letters"]: (entry["coin"], bytes.fromhex(entry["version"])) for entry in data["nicehash"]},
            {entry["prefix"]: (entry["coin"], entry.get("groups")) for entry in data["bech32"]},
            {entry["prefix"]: (entry["coin"], entry["groups"]) for entry in data["colon_bech32"]},
            {entry["prefix"]: entry["coin"] for entry in data["cashaddr"]},
            frozenset(name for entry in data["payout_coins"] for name in entry["names"]),
        )


@functools.lru_cache(maxsize=1)
def wallet_forms() -> Forms:
    """The built-in forms, read when first asked for."""
    return Forms.of(load_yaml("wallets.yaml"))


def find_wallets(text: str, limit: int = 8) -> list[Wallet]:
    """The first `limit` different wallets in `text`, verified ones before unverified ones, each in order of appearance.

    Of a text with more candidates than any honest one has, only the first are looked at.
    """
    verified: dict[Wallet, None] = {}
    unverified: dict[Wallet, None] = {}
    long_ones = 0
    for looked_at, found in enumerate(_RUN.finditer(text)):
        long_ones += len(found.group()) > _LONG
        if len(verified) >= limit or looked_at >= _MAX_CANDIDATES or long_ones > _MAX_LONG_CANDIDATES:
            break
        wallet = _wallet_at(text, found.start(), found.group())
        if wallet is not None:
            (verified if wallet.is_verified else unverified)[wallet] = None
    return [*verified, *unverified][:limit]


def _wallet_at(text: str, start: int, word: str) -> Optional[Wallet]:
    """The wallet that `word`, a whole run of letters and digits at `start`, is."""
    forms = wallet_forms()
    before = text[max(0, start - _BEFORE) : start]
    ticker = _TICKER.search(before)
    prefix = ticker[1] if ticker else ""
    named = forms.cashaddr.get(prefix.lower())
    if named is not None:
        spelled = f"{prefix}:{word}"
        is_one_case = spelled in (spelled.lower(), spelled.upper())
        return Wallet(spelled, named, "cashaddr") if is_one_case and is_cashaddr(prefix.lower(), word.lower()) else None
    coin, groups = forms.colon_bech32.get(prefix, ("", None))
    if coin:
        found = bech32_data(prefix, word, BECH32)
        return Wallet(f"{prefix}:{word}", coin, "bech32") if found is not None and len(found) == groups else None
    wallet = identify(word)
    if wallet is None and (skipped := _ESCAPES.get(before[-1:])):
        wallet = identify(word[skipped:])
    return wallet._replace(coin=prefix) if wallet is not None and prefix in forms.payout_coins else wallet


@functools.lru_cache(maxsize=2048)
def identify(word: str) -> Optional[Wallet]:
    """The wallet that the whole of `word` is (but for cashaddr, which needs its prefix); None when it is none."""
    if not _SHORTEST <= len(word) <= _LONGEST:
        return None
    return _ethereum(word) or _bech32(word) or _nicehash(word) or _base58check(word) or _ergo(word) or _cryptonote(word)


def _ethereum(word: str) -> Optional[Wallet]:
    found = _ETHEREUM.fullmatch(word)
    if found is None:
        return None
    digits = found[1]
    if digits not in (digits.lower(), digits.upper()):
        return Wallet(word, "ETH", EIP55) if is_eip55(digits) else None
    # Without 0x, 40 digits are a SHA-1 or the like.
    return Wallet(word, "ETH", UNVERIFIED) if len(word) > len(digits) else None


def _bech32(word: str) -> Optional[Wallet]:
    lower = word.lower()
    prefix, one, rest = lower.partition("1")
    coin, length = wallet_forms().bech32.get(prefix, ("", None))
    if not coin or not one or word not in (lower, word.upper()):
        return None
    if length is not None:
        data = bech32_data(prefix, rest, BECH32)
        return Wallet(word, coin, "bech32") if data is not None and len(data) == length else None
    is_first = rest[:1] == "q"
    groups = bech32_data(prefix, rest, BECH32 if is_first else BECH32M)
    # Witness version, then 20 or 32 bytes in groups of 5 bits; later versions than taproot's are not in use.
    if groups is None or (len(groups), groups[0]) not in ((33, 0), (53, 0), (53, 1)):
        return None
    return Wallet(word, coin, "segwit" if is_first else "taproot")


def _nicehash(word: str) -> Optional[Wallet]:
    for letters, (coin, version) in wallet_forms().nicehash.items():
        if word.startswith(letters) and len(word) <= len(letters) + 35:
            payload = base58check_payload(word[len(letters) :])
            if payload is not None and payload[:1] == version and len(payload) == len(version) + _HASH:
                return Wallet(word, coin, "nicehash")
    return None


def _base58check(word: str) -> Optional[Wallet]:
    if len(word) > 36:
        return None
    payload = base58check_payload(word)
    if payload is None:
        return None
    form = wallet_forms().base58check.get(payload[:-_HASH])
    return Wallet(word, *form) if form else None


def _ergo(word: str) -> Optional[Wallet]:
    if len(word) != _ERGO_LENGTH or word[0] != "9":
        return None
    decoded = base58_bytes(word)
    # Main network, address of a public key: 1, then 33 bytes.
    if decoded is None or len(decoded) != 38 or decoded[0] != 1 or not is_ergo(decoded):
        return None
    return Wallet(word, "ERG", "p2pk")


def _cryptonote(word: str) -> Optional[Wallet]:
    decoded = cryptonote_bytes(word) if len(word) > _LONG else None
    if decoded is None:
        return None
    tag, length = cryptonote_tag(decoded)
    form = wallet_forms().cryptonote.get(tag)
    if form is None or len(decoded) != length + _KINDS[form[1]] + _CHECKSUM or not is_cryptonote_sum(decoded):
        return None
    return Wallet(word, *form)


def is_cryptonote(wallet: Wallet) -> bool:
    """Whether an address is of Monero's kind, 90 digits and more, which no other text is by chance."""
    return len(wallet.address) >= 90
