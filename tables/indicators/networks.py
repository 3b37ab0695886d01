"""Which of many address ranges an address lies in, by one dictionary look-up a prefix length."""

from __future__ import annotations

import socket
from typing import Generic, NamedTuple, Optional, TypeVar

V = TypeVar("V")

_MAPPED = bytes(10) + b"\xff\xff"


class Network(NamedTuple):
    """An address range: the packed first address and the length of the prefix; a single address has the full length."""

    packed: bytes
    length: int

    @property
    def is_address(self) -> bool:
        """Whether it is one address rather than a range."""
        return self.length == len(self.packed) * 8

    def __str__(self) -> str:
        text = socket.inet_ntop(socket.AF_INET if len(self.packed) == 4 else socket.AF_INET6, self.packed)
        return text if self.is_address else f"{text}/{self.length}"


def parse_address(text: str) -> bytes:
    """The 4 or 16 bytes of an address, IPv4-mapped ones as IPv4; ValueError when `text` is no address."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, UnicodeError, ValueError):
        raise ValueError("no IP address") from None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def is_local(packed: bytes) -> bool:
    """Whether an address leads nowhere beyond the host and its link: unspecified, loopback, link-local, multicast (RFC 6890)."""
    if len(packed) == 4:
        return packed[0] in (0, 127) or packed[:2] == b"\xa9\xfe" or 224 <= packed[0] < 240
    return (packed[:15] == bytes(15) and packed[15] < 2) or packed[0] == 0xFF or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80)


def parse_network(text: str) -> Network:
    """The range that `ADDRESS/LENGTH` or `ADDRESS` names, bits after the prefix dropped; ValueError when it is neither."""
    address, slash, length_text = text.partition("/")
    packed = parse_address(address)
    bits = len(packed) * 8
    if not slash:
        return Network(packed, bits)
    if not (length_text.isascii() and length_text.isdigit() and len(length_text) <= 3):
        raise ValueError("no prefix length")
    # The prefix of an IPv4-mapped range counts from the start of the IPv6 address.
    length = int(length_text) - (96 if ":" in address and bits == 32 else 0)
    if not 0 <= length <= bits:
        raise ValueError("prefix length out of range")
    return Network(_masked(packed, length), length)


def _masked(packed: bytes, length: int) -> bytes:
    spare = len(packed) * 8 - length
    return (int.from_bytes(packed, "big") >> spare << spare).to_bytes(len(packed), "big")


class NetworkIndex(Generic[V]):
    """Values by address range; finding one costs a look-up for each prefix length in use, however many ranges there are."""

    def __init__(self) -> None:
        self._values: dict[Network, V] = {}
        self._lengths: dict[int, list[int]] = {4: [], 16: []}

    def __bool__(self) -> bool:
        return bool(self._values)

    def items(self) -> list[tuple[Network, V]]:
        """Every range with its value, in the order in which they were added."""
        return list(self._values.items())

    def get(self, network: Network) -> Optional[V]:
        """The value of exactly this range."""
        return self._values.get(network)

    def add(self, network: Network, value: V) -> None:
        """Give `network` this value."""
        self._values[network] = value
        lengths = self._lengths[len(network.packed)]
        if network.length not in lengths:
            lengths.append(network.length)
            lengths.sort(reverse=True)

    def find(self, packed: bytes) -> Optional[tuple[Network, V]]:
        """The narrowest range that holds the address, with its value."""
        for length in self._lengths[len(packed)]:
            network = Network(_masked(packed, length), length)
            if network in self._values:
                return network, self._values[network]
        return None
