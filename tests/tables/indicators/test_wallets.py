"""Wallets: published addresses and addresses that the test builds itself verify; everything one letter off does not."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.indicators.wallet_checksums import keccak256
from tables.indicators.wallets import UNVERIFIED, Wallet, find_wallets, identify, wallet_forms

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BLOCK_LETTERS = [0, 2, 3, 5, 6, 7, 9, 10, 11]

XMR = "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
KASPA = "kaspa:qpauqsvk7yf9unexwmxsnmg547mhyga37csh0kj53q6xxgl24ydxjsgzthw5j"

# Addresses that their projects publish: donations, treasuries, genesis blocks, examples of the specifications.
PUBLISHED = [
    (XMR, "XMR", "standard"),
    ("888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H", "XMR", "subaddress"),
    ("ZEPHYR2jZrZXenfKejCcCmEkRzUYwXjgWfJF4yzdCznKQ8yQ3g3PsWUbZjzfzHbeTPMgXVmEuDKQUB9rPkgtVwyWRh9knU4EpfJ57", "ZEPH", "standard"),
    ("SaLvdZR6w1A21sf2Wh6jYEh1wzY4GSbT7RX6FjyPsnLsffWLrzFQeXUXJcmBLRWDzZC2YXeYe5t7qKsnrg9FpmxmEcxPHsEYfqA", "SAL", "standard"),
    ("hvxy7YfeE8SdTrCmSqLB59WoQn3ZQun1aLX36X3eb1R7Fb26VuNpc235q4fguGUxfGKerywFPnweu15S8RB8DzTJ8Q4hGJCgvv", "XHV", "standard"),
    ("LCFxT37LAogDn1jLQKf4y7aAqfi21DjovX9qyijaLYQSdrxY1U5VGcnMJMjWrD9RhjeK5Lym67wZ73uh9AujXLQ1RKmXEyL", "OXEN", "standard"),
    ("TRTLv2Fyavy8CXG8BPEbNeCHFZ1fuDCYCZ3vW5H5LXN4K2M2MHUpTENip9bbavpHvvPwb4NDkBWrNgURAd5DB38FHXWZyoBh4wW", "TRTL", "standard"),
    (
        "4LL9oSLmtpccfufTMvppY6JwXNouMBzSkbLYfpAV5Usx3skxNgYeYTRj5UzqtReoS44qo9mtmXCqY45DJ852K5Jv2bYXZKKQePHES9khPK",
        "XMR",
        "integrated",
    ),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "BTC", "p2pkh"),
    ("LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "LTC", "p2pkh"),
    ("DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L", "DOGE/DGB", "p2pkh"),
    ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TRX", "p2pkh"),
    ("t1Hsc1LR8yKnbbe3twRp88p6vFfC5t7DLbs", "ZEC/FLUX", "p2pkh"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "BTC", "segwit"),
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "BTC", "segwit"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "BTC", "taproot"),
    (KASPA, "KAS", "cashaddr"),
    ("bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "BCH", "cashaddr"),
    ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "ETH", "eip55"),
    ("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "ETH", "eip55"),
    ("0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "ETH", "eip55"),
    ("0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", "ETH", "eip55"),
    ("9iKFBBrryPhBYVGDKHuZQW7SuLfuTdUJtTPzecbQ5pQQzD4VykC", "ERG", "p2pk"),
]


def cryptonote(tag: int, body: bytes) -> str:
    """An address with this tag and these keys, written by code of the test's own."""
    data = bytearray()
    while tag >= 0x80:
        data.append(tag & 0x7F | 0x80)
        tag >>= 7
    data.append(tag)
    data += body
    data += keccak256(bytes(data))[:4]
    blocks = []
    for start in range(0, len(data), 8):
        block = data[start : start + 8]
        number, letters = int.from_bytes(block, "big"), ""
        for _ in range(BLOCK_LETTERS[len(block)]):
            number, rest = divmod(number, 58)
            letters = ALPHABET[rest] + letters
        blocks.append(letters)
    return "".join(blocks)


def base58check(version: bytes, body: bytes) -> str:
    data = version + body
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, letters = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        letters = ALPHABET[rest] + letters
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + letters


@pytest.mark.parametrize(("address", "coin", "kind"), PUBLISHED, ids=lambda value: str(value)[:12])
def test_published_addresses_verify(address: str, coin: str, kind: str) -> None:
    assert find_wallets(f"-o pool.example.net:3333 -u {address}.worker1 -p x") == [Wallet(address, coin, kind)]


@pytest.mark.parametrize(("address", "coin", "kind"), PUBLISHED, ids=lambda value: str(value)[:12])
def test_one_letter_off_does_not_verify(address: str, coin: str, kind: str) -> None:
    last = address[-1]
    other = next(
        letter for letter in ("q", "Q", "2", "3") if letter != last and (letter.isupper() == last.isupper() or not last.isalpha())
    )
    if kind == "eip55":
        # Another case of one letter is another sum.
        at = next(index for index, letter in enumerate(address) if index > 1 and letter.isalpha())
        changed = address[:at] + address[at].swapcase() + address[at + 1 :]
    else:
        changed = address[:-1] + other
    assert find_wallets(changed) == []


@pytest.mark.parametrize("tag", sorted(wallet_forms().cryptonote))
def test_every_cryptonote_form_verifies_with_its_own_length_only(tag: int) -> None:
    coin, kind = wallet_forms().cryptonote[tag]
    keys = random.Random(tag).randbytes(64)
    payment_id = random.Random(tag).randbytes(8)
    whole, other = (keys + payment_id, keys) if kind == "integrated" else (keys, keys + payment_id)
    assert identify(cryptonote(tag, whole)) == (cryptonote(tag, whole), coin, kind)
    assert identify(cryptonote(tag, other)) is None


BECH32_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values: list[int], width: int, generator: list[int]) -> int:
    """The remainder of BIP-173 and of cashaddr.md, written by code of the test's own."""
    check = 1
    for value in values:
        top = check >> (width - 5)
        check = (check % (1 << (width - 5))) << 5 ^ value
        for bit, number in enumerate(generator):
            check ^= number if top >> bit & 1 else 0
    return check ^ 1


def spelled(prefix: str, mark: str, length: int, is_cashaddr: bool) -> str:
    """An address of `length` groups of five bits and its checksum."""
    data = [(number * 7) % 32 for number in range(length)]
    if is_cashaddr:
        size, width = 8, 40
        generator = [0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470]
        head = [ord(letter) % 32 for letter in prefix] + [0]
    else:
        size, width = 6, 30
        generator = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]
        head = [ord(letter) // 32 for letter in prefix] + [0] + [ord(letter) % 32 for letter in prefix]
    check = polymod([*head, *data, *([0] * size)], width, generator)
    data += [check >> 5 * (size - 1 - number) & 31 for number in range(size)]
    return f"{prefix}{mark}{''.join(BECH32_LETTERS[value] for value in data)}"


@pytest.mark.parametrize(
    ("prefix", "coin", "mark", "length"),
    [
        ("dero", "DERO", "1", 55),
        ("xel", "XEL", ":", 53),
        ("karlsen", "KLS", ":", 55),
        ("spectre", "SPR", ":", 55),
        ("pyrin", "PYI", ":", 55),
        ("hoosat", "HTN", ":", 55),
        ("nexa", "NEXA", ":", 40),
    ],
)
def test_addresses_of_young_coins(prefix: str, coin: str, mark: str, length: int) -> None:
    address = spelled(prefix, mark, length, is_cashaddr=mark == ":" and prefix != "xel")
    (found,) = find_wallets(f"-u {address}.rig")
    assert (found.address, found.coin, found.is_verified) == (address, coin, True)
    changed = address[:-1] + ("q" if address[-1] != "q" else "p")
    assert not find_wallets(changed)


@pytest.mark.parametrize("version", sorted(wallet_forms().base58check))
def test_every_base58check_form_verifies(version: bytes) -> None:
    address = base58check(version, random.Random(version).randbytes(20))
    assert identify(address) == (address, *wallet_forms().base58check[version])
    assert identify(base58check(version, bytes(19))) is None


@pytest.mark.parametrize(
    ("version", "leading"),
    [("00", "1"), ("05", "3"), ("30", "L"), ("32", "M"), ("1e", "D"), ("3c", "R"), ("1cb8", "t1"), ("1cbd", "t3"), ("41", "T")],
)
def test_version_bytes_give_the_letters_that_the_coins_are_known_by(version: str, leading: str) -> None:
    assert base58check(bytes.fromhex(version), hashlib.sha256(b"key").digest()[:20]).startswith(leading)


@pytest.mark.parametrize(
    ("tag", "leading"),
    [(0x12, "4"), (0x2A, "8"), (0x6241D18C0, "ZEPHYR"), (0x3EF318, "SaLv"), (0x180C96, "SC1"), (0x7AD4, "ccx7"), (0xB2, "Wm")],
)
def test_tags_give_the_letters_that_the_coins_are_known_by(tag: int, leading: str) -> None:
    assert cryptonote(tag, hashlib.sha512(b"keys").digest()).startswith(leading)


def test_addresses_of_coins_without_a_known_form_are_no_wallets() -> None:
    assert identify(cryptonote(0x77777, bytes(range(64)))) is None
    assert identify(base58check(b"\x6f", bytes(range(20)))) is None


def test_nicehash_addresses_verify_behind_their_two_letters() -> None:
    address = "NH" + base58check(b"\x55", bytes(range(20)))
    assert address.startswith("NHb")
    assert find_wallets(f"{address}.rig") == [Wallet(address, "BTC", "nicehash")]
    assert find_wallets("NH" + base58check(b"\x00", bytes(range(20)))) == []


@pytest.mark.parametrize(
    "text",
    [
        f"-u{XMR}",
        f"--user={XMR}.rig",
        f"{XMR}+128000",
        f"stratum+ssl://{XMR}.w1:x@pool.example.net:443",
        f'"user": "{XMR}/rig/mail@example.net"',
        f"XMR:{XMR}.rig#abcd-efgh",
        f'{{"params":"{{\\n{XMR}\\n}}"}}',
        f"user%3D{XMR}%26",
        f"{XMR}_worker",
        f"WALLET={XMR}\0POOL=x",
    ],
)
def test_addresses_are_found_however_they_are_written(text: str) -> None:
    assert find_wallets(text) == [Wallet(XMR, "XMR", "standard")]


def test_unmineable_logins_say_what_is_paid_out() -> None:
    doge = base58check(b"\x1e", bytes(range(20)))
    assert find_wallets(f"-u DOGE:{doge}.w#ab12-cd34") == [Wallet(doge, "DOGE", "p2pkh")]
    ether = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert find_wallets(f"SHIB:{ether}.w") == [Wallet(ether, "SHIB", "eip55")]
    assert find_wallets(f"address:{ether}") == [Wallet(ether, "ETH", "eip55")]


def test_forty_digits_of_one_case_are_unverified_and_come_last() -> None:
    lower = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    found = find_wallets(f"{lower} {XMR}")
    assert [(wallet.kind, wallet.is_verified) for wallet in found] == [("standard", True), (UNVERIFIED, False)]
    # A commit of git's, and what sha1sum prints.
    assert find_wallets(lower[2:]) == []


def test_the_limit_counts_different_wallets() -> None:
    many = [base58check(b"\x30", bytes([number] * 20)) for number in range(1, 6)]
    text = " ".join(address for address in many for _ in range(3))
    assert [wallet.address for wallet in find_wallets(text, 3)] == many[:3]
    assert find_wallets(text, 0) == []


def test_a_wallet_behind_thousands_of_hashes_is_still_found() -> None:
    hashes = "\n".join(hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(5000))
    assert find_wallets(f"{hashes}\n{XMR}") == [Wallet(XMR, "XMR", "standard")]


def test_random_text_holds_no_wallet() -> None:
    chance = random.Random(20261123)
    blob = chance.randbytes(400_000)
    base58 = "".join(chance.choices(ALPHABET, k=400_000))
    lengths = (26, 34, 36, 42, 51, 95, 97, 106)
    words = " ".join(base58[start : start + chance.choice(lengths)] for start in range(0, 390_000, 110))
    for text in (
        base64.b64encode(blob).decode(),
        base64.urlsafe_b64encode(blob).decode(),
        blob.hex(),
        base58,
        words,
        " ".join(blob[start : start + 20].hex() for start in range(0, 400_000, 20)),
        " ".join(
            "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(blob[start : start + 72]).decode()
            for start in range(0, 72_000, 72)
        ),
    ):
        assert find_wallets(text) == []


def test_keccak_is_the_one_before_sha3() -> None:
    # Known answers of the submission.
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak256(b"The quick brown fox jumps over the lazy dog").hex() == (
        "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15"
    )


@given(st.text(max_size=400), st.integers(0, 4))
def test_any_text_is_read_without_error(text: str, limit: int) -> None:
    assert len(find_wallets(text, limit)) <= limit


@given(st.binary(min_size=64, max_size=64), st.sampled_from([0x12, 0x2A, 0x3EF318, 0xB2]))
def test_any_keys_make_an_address_that_verifies(keys: bytes, tag: int) -> None:
    address = cryptonote(tag, keys)
    assert [wallet.address for wallet in find_wallets(f"login={address}&pass=x")] == [address]


@given(st.text(alphabet=ALPHABET, min_size=26, max_size=110))
def test_random_words_never_verify(word: str) -> None:
    assert find_wallets(word) == []
