"""The pools that a configuration file names."""

from __future__ import annotations

import re

from tables.indicators.miner_words import miner_words
from tables.indicators.pools import HIGH, LOW, PoolIndicators
from tables.reasons.mining.configs import parse_miner_config
from tables.reasons.mining.references import WORDS, Endpoint, Reference, known_pool, parse_endpoint, reference_to

_POOLS_KEY = re.compile(r'"pools"\s*:\s*\[')
_URL_KEY = re.compile(r'"(?:url|pool_address)"\s*:\s*"([^"\\\s]{1,512})"')


def config_references(text: str, path: str, indicators: PoolIndicators) -> list[Reference]:
    """The pools that the configuration file `path` with this `text` names.

    Those are a miner's, as `parse_miner_config` reads them, and in any file URLs of mining protocols and listed domains. A
    plain host:port in `pools` of a file that is no miner's has low confidence: connection pools of databases are written so too.
    """
    config = parse_miner_config(text)
    found: dict[Endpoint, str] = {}
    for pool in config.pools if config is not None else ():
        if (endpoint := parse_endpoint(pool)) is not None:
            found[endpoint] = HIGH
    urls = frozenset(_URL_KEY.findall(text)) if _POOLS_KEY.search(text) else frozenset()
    for word in (*urls, *WORDS.split(text)):
        if "." not in word and ":" not in word:
            continue
        endpoint = parse_endpoint(word)
        if endpoint is None or endpoint in found or endpoint.scheme.startswith("http"):
            continue
        if miner_words().is_mining_scheme(endpoint.scheme) or known_pool(endpoint, indicators) is not None:
            found[endpoint] = HIGH
        elif word in urls and endpoint.port is not None and not endpoint.scheme and config is None:
            found[endpoint] = LOW
    return [reference_to("config", endpoint, indicators, confidence, path) for endpoint, confidence in found.items()]
