"""One entry of a feed, as people write it, brought into the form that a list holds."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from tables.indicators.pool_lists import Indicator, parse_indicator

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_MAX_TEXT = 2048
_DOT = re.compile(r"[\[({]\s*(?:\.|dot)\s*[\])}]|\\\.", re.IGNORECASE)
_COLON = re.compile(r"[\[({](:|://|:/)[\])}]")
_HXXP = re.compile(r"h[x*]{2}p(s?)(?=:)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://(.*)", re.IGNORECASE | re.DOTALL)
_WEB_PORTS = {"http": 80, "https": 443}
# Alternative roots in which pools and botnets live though ICANN knows nothing of them.
_OTHER_ROOTS = frozenset({"bazar", "bit", "coin", "emc", "i2p", "lib", "onion"})
# RFC 6761, 6762, 7686, 8375, 9476 and ICANN's .internal: names that mean something else on every network.
_PRIVATE_ROOTS = frozenset(
    {"alt", "arpa", "corp", "example", "home", "internal", "invalid", "lan", "local", "localdomain", "localhost", "test"}
)


class RefusedError(Exception):
    """The entry could be read but names nothing that a list may match; the message says why."""


def refang(text: str) -> str:
    """Undo what keeps people from clicking: hxxp, [.], (dot), {.}, [:]."""
    text = _COLON.sub(r"\1", _DOT.sub(".", text))
    return _HXXP.sub(r"http\1", text)


def normalise(text: str) -> Indicator:
    """The indicator that `text` means: without scheme, user, path and trailing dot, refanged, in lower case, names in IDNA.

    An address in a web URL keeps that URL's port. Raises ValueError for what is no indicator, and RefusedError for a page
    of a web site, which says nothing of the whole site.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError(f"longer than {_MAX_TEXT} characters")
    text = refang(text.strip().strip("\"'"))
    scheme, path = "", ""
    found = _SCHEME.fullmatch(text)
    if found:
        scheme, text = found[1].lower(), found[2]
        text, path = _split_path(text)
        text = text.rpartition("@")[2]
    elif not _is_range(text):
        text, path = _split_path(text)
    indicator = parse_indicator(_ascii(text.removesuffix(".").removeprefix(".")))
    if indicator.domain is None:
        is_bare = indicator.port is None and scheme in _WEB_PORTS
        return indicator._replace(port=_WEB_PORTS[scheme]) if is_bare else indicator
    if path.strip("/") and not scheme.startswith("stratum"):
        raise RefusedError("a page of a web site")
    return indicator._replace(port=None) if scheme in _WEB_PORTS else indicator


def is_web_address(url: str) -> bool:
    """Whether `url` is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _WEB_PORTS and bool(parts.hostname)
    except ValueError:
        return False


def name_problem(domain: str) -> Optional[str]:
    """Why no list may match everything below `domain`; None when one may."""
    root = domain.rpartition(".")[2]
    if root in _PRIVATE_ROOTS:
        return f"no internet name (.{root})"
    suffixes = _suffixes()
    if root not in _OTHER_ROOTS and suffixes.publicsuffix(domain, accept_unknown=False) is None:
        return f"no internet name (.{root} is no top-level domain)"
    if suffixes.privatesuffix(domain) is None:
        return "a public suffix, below which anybody may have a name"
    return None


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def _split_path(text: str) -> tuple[str, str]:
    host = re.split(r"[/?#]", text, maxsplit=1)[0]
    return host, text[len(host) :]


def _is_range(text: str) -> bool:
    address, slash, length = text.partition("/")
    return bool(slash) and length.isdigit() and (":" in address or address.replace(".", "").isdigit())


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    if len(name) > 253:
        raise ValueError("a name of more than 253 characters")
    try:
        return name.encode("idna").decode("ascii") + colon + port
    except UnicodeError:
        raise ValueError("no name that IDNA allows") from None
