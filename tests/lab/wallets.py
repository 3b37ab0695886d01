"""Wallet addresses that others have published, one of each kind, and the same with one letter changed."""

from __future__ import annotations

# Published in the places named below; each proves itself by its checksum, and none is anybody's on this project.
XMR = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
ADDRESSES = {
    # The donation addresses on getmonero.org.
    "XMR standard": XMR,
    "XMR subaddress": "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
    # The example on docs.getmonero.org.
    "XMR integrated": (
        "4LL9oSLmtpccfufTMvppY6JwXNouMBzSkbLYfpAV5Usx3skxNgYeYTRj5UzqtReoS44qo9mtmXCqY45DJ852K5Jv2bYXZKKQePHES9khPK"
    ),
    # The examples on en.bitcoin.it/wiki/Invoice_address.
    "BTC base58check": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "BTC script": "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
    # The examples of BIP-173 and BIP-350.
    "BTC bech32": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BTC bech32m": "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    # The example of EIP-55.
    "ETH EIP-55": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "DOGE base58check": "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L",
}


def misspelt(address: str) -> str:
    """The address with one letter changed near its middle, so that its form is right and its checksum wrong."""
    middle = len(address) // 2
    while address[middle] in "bB23":
        middle += 1
    # Both are letters of every alphabet in use here.
    return f"{address[:middle]}{'2' if address[middle].isdigit() else '3'}{address[middle + 1 :]}"
