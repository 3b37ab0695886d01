"""The checksums that wallet addresses carry: CryptoNote's base58, base58check, bech32 and cashaddr, EIP-55."""

from __future__ import annotations

import hashlib
from typing import Optional

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# The longest address is one of Monero with a payment id, 106 letters.
_MAX_ADDRESS = 256
_BASE58_VALUES = {letter: value for value, letter in enumerate(_BASE58)}
_BECH32_VALUES = {letter: value for value, letter in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
# CryptoNote encodes 8 bytes as 11 letters; what is left over at the end takes as many letters as its length needs.
_BLOCK_LETTERS = 11
_BLOCK_BYTES = {2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}

# BIP-173 and BIP-350: what the checksum leaves of an address that is right.
BECH32 = 1
BECH32M = 0x2BC8_30A3
_BECH32_GENERATOR = (0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3)
_CASHADDR_GENERATOR = (0x98_F2BC_8E61, 0x79_B76D_99E2, 0xF3_3E5F_B3C4, 0xAE_2EAB_E2A8, 0x1E_4F43_E470)
_CASHADDR_CHECKSUM = 8

_LANE = (1 << 64) - 1
_RATE = 136


def _rotations() -> list[int]:
    """How far each lane x + 5y is rotated (FIPS 202, 3.2.2)."""
    found = [0] * 25
    x, y = 1, 0
    for step in range(24):
        found[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return found


def _round_constants() -> list[int]:
    """One constant a round, from the shift register of FIPS 202, 3.2.5."""
    found = []
    register = 1
    for _ in range(24):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        found.append(constant)
    return found


_ROUND_CONSTANTS = _round_constants()
# Where each lane goes, and how far it is rotated on the way.
_MOVES = [(x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), _rotations()[x + 5 * y], x) for x in range(5) for y in range(5)]
_NEIGHBOURS = [(i, i // 5 * 5 + (i + 1) % 5, i // 5 * 5 + (i + 2) % 5) for i in range(25)]


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as CryptoNote and Ethereum use it: the submission to the SHA-3 contest, padded otherwise than SHA3-256."""
    padded = bytearray(data + b"\x01" + bytes(-(len(data) + 1) % _RATE))
    padded[-1] |= 0x80
    state = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_RATE // 8):
            at = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _permuted(state: list[int]) -> list[int]:
    moved = [0] * 25
    for constant in _ROUND_CONSTANTS:
        columns = [state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        for source, target, distance, x in _MOVES:
            moved[target] = _rotated(state[source] ^ mixed[x], distance)
        state = [moved[i] ^ (~moved[one] & moved[two]) for i, one, two in _NEIGHBOURS]
        state[0] ^= constant
    return state


def _rotated(lane: int, distance: int) -> int:
    return (lane << distance | lane >> (64 - distance)) & _LANE


def cryptonote_bytes(address: str) -> Optional[bytes]:
    """What a CryptoNote address encodes, checksum included but not verified; None when it is no such encoding."""
    decoded = bytearray()
    for start in range(0, len(address), _BLOCK_LETTERS):
        block = address[start : start + _BLOCK_LETTERS]
        size = _BLOCK_BYTES.get(len(block))
        number = _base58_number(block)
        if size is None or number is None or number >> (8 * size):
            return None
        decoded += number.to_bytes(size, "big")
    return bytes(decoded)


def cryptonote_tag(decoded: bytes) -> tuple[int, int]:
    """The network and kind of address (a variable-length number) that `decoded` begins with, and how many bytes that takes."""
    tag = 0
    for index, byte in enumerate(decoded[:9]):
        tag |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return tag, index + 1
    return -1, 0


def is_cryptonote_sum(decoded: bytes) -> bool:
    """Whether the last four bytes are the beginning of the Keccak-256 of the rest."""
    return keccak256(decoded[:-4])[:4] == decoded[-4:]


def base58check_payload(address: str) -> Optional[bytes]:
    """Version and hash of a base58check address; None when its double SHA-256 does not fit."""
    decoded = base58_bytes(address)
    if decoded is None or len(decoded) < 5:
        return None
    digest = hashlib.sha256(hashlib.sha256(decoded[:-4]).digest()).digest()
    return decoded[:-4] if digest[:4] == decoded[-4:] else None


def base58_bytes(text: str) -> Optional[bytes]:
    """What plain base58 encodes, leading zeros (written as 1) included; None for letters that are not in its alphabet."""
    number = _base58_number(text)
    if number is None:
        return None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base58_number(text: str) -> Optional[int]:
    if len(text) > _MAX_ADDRESS:
        return None
    number = 0
    for letter in text:
        value = _BASE58_VALUES.get(letter)
        if value is None:
            return None
        number = number * 58 + value
    return number


def bech32_data(prefix: str, text: str, remainder: int) -> Optional[list[int]]:
    """The 5-bit groups of a bech32 (or bech32m) `text` behind `prefix` and its 1; None when the checksum leaves anything else."""
    values = _groups(text)
    if values is None or len(values) < 6:
        return None
    check = 1
    for value in [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix), *values]:
        top = check >> 25
        check = (check & 0x1FF_FFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return values[:-6] if check == remainder else None


def is_cashaddr(prefix: str, text: str) -> bool:
    """Whether `text` is a right address behind `prefix` and a colon, as Bitcoin Cash (its cashaddr.md) and Kaspa write them."""
    values = _groups(text)
    if values is None or len(values) <= _CASHADDR_CHECKSUM:
        return False
    check = 1
    for value in [*(ord(letter) & 31 for letter in prefix), 0, *values]:
        top = check >> 35
        check = (check & 0x7_FFFF_FFFF) << 5 ^ value
        for bit, generator in enumerate(_CASHADDR_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check == 1


def _groups(text: str) -> Optional[list[int]]:
    values = [_BECH32_VALUES.get(letter, -1) for letter in text]
    return None if -1 in values else values


def is_eip55(digits: str) -> bool:
    """Whether the upper and lower case of 40 hexadecimal `digits` is the one that EIP-55 prescribes."""
    nibbles = keccak256(digits.lower().encode("ascii")).hex()
    return all(digit == (digit.upper() if int(nibble, 16) > 7 else digit.lower()) for digit, nibble in zip(digits, nibbles))


def is_ergo(decoded: bytes) -> bool:
    """Whether the last four bytes are the beginning of the BLAKE2b-256 of the rest, as Ergo addresses have them."""
    return hashlib.blake2b(decoded[:-4], digest_size=32).digest()[:4] == decoded[-4:]
