"""A server that answers as OpenSearch does, from PyPI's osmem-server: indices of keywords, asked by query_string."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

_KEYWORDS = {"match_mapping_type": "string", "mapping": {"type": "keyword"}}


def search(asked: Mapping[str, tuple[str, str]], indices: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, set[str]]:
    """Which documents, as INDEX/NUMBER, each query finds; `asked` is (pattern of indices, query) by name."""
    from osmem_server import OsmemServer

    found = {}
    with OsmemServer.start() as server, server.clone() as cluster:
        for index, documents in indices.items():
            _call(f"{cluster.url}/{index}", "PUT", json.dumps({"mappings": {"dynamic_templates": [{"text": _KEYWORDS}]}}))
            lines = [
                f"{json.dumps({'index': {'_id': str(number)}})}\n{json.dumps(document)}\n"
                for number, document in enumerate(documents)
            ]
            assert not _call(f"{cluster.url}/{index}/_bulk?refresh=true", "POST", "".join(lines))["errors"]
        for name, (pattern, query) in asked.items():
            body = {"size": 10000, "_source": False, "query": {"query_string": {"query": query}}}
            hits = _call(f"{cluster.url}/{pattern}/_search", "POST", json.dumps(body))["hits"]["hits"]
            found[name] = {f"{hit['_index']}/{hit['_id']}" for hit in hits}
    return found


def _call(url: str, method: str, body: str) -> Any:
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
