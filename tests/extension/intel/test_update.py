"""`update` against a web server of the test on loopback: what is good is exchanged, what is not leaves the former list."""

from __future__ import annotations

import datetime
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from extension.intel.download import DownloadError, download
from extension.intel.feeds import DEFAULT_FEEDS, FeedsError, configured_feeds
from tests.extension.intel.conftest import Intel

Answer = Callable[[BaseHTTPRequestHandler], None]
TODAY = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
MALTRAIL = (
    "# Reference: https://example.com\n" + "".join(f"pool{number}.evil.com\n" for number in range(10)) + "5.189.171.187:3333\n"
)
CLOUD = json.dumps({"name": "Cloud", "type": "cidr", "version": 20261101, "list": ["5.189.0.0/16", "94.23.0.0/16"]})


class Site:
    """A web server whose answers a test sets by path; `stop` is set when the test is over."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.stop = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    site.answers[self.path](self)
                except KeyError:
                    self.send_error(404)
                except ConnectionError:
                    pass

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    def serve(self, path: str, body: str | bytes, kind: str = "text/plain", status: int = 200, **headers: str) -> str:
        data = body.encode() if isinstance(body, str) else body

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content_Type": kind, "Content_Length": str(len(data)), **headers}.items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(data)

        self.answers[path] = answer
        return self.url(path)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    site = Site()
    yield site
    site.stop.set()
    site.server.shutdown()
    site.server.server_close()
    site.thread.join()


@pytest.fixture
def feeds(config: Path, site: Site) -> Path:
    """A pool list and a list of shared ranges in the configuration, both served."""
    pools = {
        "name": "pools",
        "url": site.serve("/pools.txt", MALTRAIL),
        "licence": "MIT",
        "last_seen": datetime.date(2026, 8, 16),
    }
    cloud = {
        "name": "cloud",
        "url": site.serve("/cloud.json", CLOUD),
        "licence": "CC0-1.0",
        "last_seen": "2026-08-20",
        "kind": "shared",
    }
    config.write_text(yaml.safe_dump({"feeds": [pools, {**cloud, "confidence": "high", "format": "misp"}]}))
    return config


def test_the_lists_are_exchanged_and_the_shared_ranges_count_for_the_pools(feeds: Path, intel: Intel, lists: Path) -> None:
    result = intel("update")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "cloud: 2 entries",
        "pools: 10 entries, 1 refused (1 in a range that cloud shares between its customers)",
    ]
    text = (lists / "pools.txt").read_text()
    assert f"# feed: pools\n# kind: pools\n# date: {TODAY}\n# imported: {TODAY}\n# source: http://127.0.0.1" in text
    assert "# licence: MIT\n# confidence: medium\n\npool0.evil.com\n" in text
    assert "# date: 2026-11-01\n" in (lists / "cloud.txt").read_text()
    assert intel("check").exit_code == 0
    assert "line 12: '5.189.171.187:3333': in a range that cloud" in intel("update", "pools", "--verbose").stderr
    assert sorted(path.name for path in lists.iterdir()) == ["cloud.txt", "pools.txt"]


def test_a_broken_feed_is_refused_and_the_others_are_updated(feeds: Path, intel: Intel, lists: Path, site: Site) -> None:
    assert intel("update").exit_code == 0
    former = (lists / "pools.txt").read_text()
    site.serve("/cloud.json", CLOUD.replace("94.23", "94.24"))
    for body, status, kind, message in (
        ("gone", 404, "text/plain", "HTTP status 404"),
        ("oops", 500, "text/plain", "HTTP status 500"),
        (MALTRAIL, 200, "text/html", "a web page"),
        ("<html>Sign in</html>", 200, "text/plain", "a web page"),
        ("", 200, "text/plain", "empty"),
        ("# Reference: nothing any more\n", 200, "text/plain", "no"),
        ("pool0.evil.com\npool1.evil.com\npool2.evil.com\npool3.evil.com\n", 200, "text/plain", "shrunken from 10 entries to 4"),
        ("10.0.0.1\n" * 20, 200, "text/plain", "nothing in it can be used"),
        ("caf\xe9.com".encode("latin-1"), 200, "text/plain", "no UTF-8"),
        (CLOUD[:40], 200, "application/json", "not valid JSON"),
    ):
        site.serve("/pools.txt", body, kind, status)
        result = intel("update", "--timeout", "5")
        assert result.exit_code == 1, result.output
        assert f"pools: refused: {message}" in result.output or message in result.output.split("pools: refused")[1], result.output
        assert f"the former list is kept; last seen {TODAY}" in result.output
        assert (lists / "pools.txt").read_text() == former and "94.24.0.0/16" in (lists / "cloud.txt").read_text()
    site.serve("/pools.txt", "".join(f"pool{number}.evil.com\n" for number in range(5)))
    assert intel("update").exit_code == 0


def test_a_feed_that_was_never_fetched_and_is_dead_says_when_it_was_last_seen(
    feeds: Path, intel: Intel, lists: Path, site: Site
) -> None:
    site.answers.clear()
    result = intel("update", "pools")
    assert result.exit_code == 1 and "(there is no former list; last seen 2026-08-16)" in result.output
    assert not lists.exists()
    assert intel("update", "other").exit_code == 2


def test_a_list_that_cannot_be_exchanged_stops_no_other(feeds: Path, intel: Intel, lists: Path, site: Site) -> None:
    (lists / "cloud.txt").mkdir(parents=True)
    result = intel("update")
    assert result.exit_code == 1 and "cloud: not updated: " in result.stdout and "pools: 11 entries" in result.stdout
    site.answers.clear()
    assert "cloud: refused: HTTP status 404" in intel("update").stdout


def test_a_feed_that_nobody_changes_any_more_ages(feeds: Path, intel: Intel, lists: Path, site: Site) -> None:
    assert intel("update", "pools").exit_code == 0
    path = lists / "pools.txt"
    path.write_text(path.read_text().replace(f"# date: {TODAY}", "# date: 2026-01-01"))
    assert intel("update", "pools").exit_code == 0
    assert f"# date: 2026-01-01\n# imported: {TODAY}\n" in path.read_text()
    assert "stale" in intel("check").stdout
    site.serve("/pools.txt", MALTRAIL + "another.evil.com\n")
    assert intel("update", "pools").exit_code == 0 and f"# date: {TODAY}\n" in path.read_text()


def test_a_server_that_is_not_there_or_says_nothing_is_given_up_on(site: Site) -> None:
    site.answers["/silent"] = lambda request: bool(site.stop.wait(20)) and None
    with pytest.raises(DownloadError, match=r"no answer: .*timed out"):
        download(site.url("/silent"), timeout=0.2)
    with pytest.raises(DownloadError, match="no answer"):
        download("http://127.0.0.1:1/", timeout=5)
    for address in ("file:///etc/passwd", "ftp://127.0.0.1/x", "", "http://[::1", "//x"):
        with pytest.raises(DownloadError, match="no http"):
            download(address)


def drip(request: BaseHTTPRequestHandler, stop: threading.Event, piece: bytes, pause: float) -> None:
    request.send_response(200)
    request.end_headers()
    while not stop.wait(pause):
        request.wfile.write(piece)


def test_a_server_that_never_ends_is_given_up_on(site: Site) -> None:
    site.answers["/drip"] = lambda request: drip(request, site.stop, b"#", 0.05)
    with pytest.raises(DownloadError, match="takes too long"):
        download(site.url("/drip"), timeout=0.2)
    site.answers["/flood"] = lambda request: drip(request, site.stop, b"evil.com\n" * 10_000, 0)
    with pytest.raises(DownloadError, match="larger than 1 MiB"):
        download(site.url("/flood"), timeout=30, max_bytes=1 << 20)


def test_compressed_answers_are_read_up_to_the_bound(site: Site) -> None:
    url = site.serve(
        "/list.gz", gzip.compress(MALTRAIL.encode()), Content_Encoding="gzip", Last_Modified="Thu, 20 Aug 2026 06:05:35 GMT"
    )
    assert download(url) == (MALTRAIL, "2026-08-20")
    bomb = site.serve("/bomb", gzip.compress(b"#" * (32 << 20)), Content_Encoding="gzip")
    with pytest.raises(DownloadError, match="larger than 1 MiB"):
        download(bomb, max_bytes=1 << 20)
    for body, message in ((b"no gzip at all", "not valid gzip"), (gzip.compress(MALTRAIL.encode())[:-20], "cut short")):
        with pytest.raises(DownloadError, match=message):
            download(site.serve("/bad", body, Content_Encoding="gzip"))


def test_a_cut_answer_is_no_answer(site: Site) -> None:
    url = site.serve("/cut", MALTRAIL, Content_Length=str(len(MALTRAIL) + 1))
    with pytest.raises(DownloadError, match=r"cut short|Incomplete"):
        download(url)


def test_redirects_are_followed_to_web_addresses_and_not_for_ever(site: Site) -> None:
    site.serve("/moved", "", status=302, Location=site.serve("/pools", MALTRAIL))
    assert download(site.url("/moved")).text == MALTRAIL
    site.serve("/loop", "", status=302, Location=site.url("/loop"))
    for number in range(20):
        site.serve(f"/hop{number}", "", status=302, Location=site.url(f"/hop{number + 1}"))
    site.serve("/file", "", status=302, Location="file:///etc/passwd")
    for path in ("/loop", "/hop0", "/file"):
        with pytest.raises(DownloadError):
            download(site.url(path), timeout=5)


def feed(**changes: Any) -> list[Any]:
    entry: dict[str, Any] = {"name": "x", "url": "https://x.example/", "licence": "MIT", "last_seen": "2026-08-16", **changes}
    return [{key: value for key, value in entry.items() if value is not None}]


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ("https://x.example/", "a list"),
        ([1], "feed 1 must be a mapping"),
        (feed(name=None), "lacks name"),
        (feed(licence=None), "lacks licence"),
        (feed(name="../x"), "name of a file"),
        (feed(url="file:///x"), "no http"),
        (feed(last_seen="soon"), "last_seen"),
        (feed(kind="x"), "kind"),
        (feed(format="xml"), "format"),
        (feed(confidence="x"), "confidence"),
        (feed(port=1), "keys"),
        (feed(licence=7), "text"),
        (feed() + feed(), "two feeds"),
    ],
)
def test_a_wrong_configuration_is_an_error(configured: Any, message: str, intel: Intel, config: Path) -> None:
    with pytest.raises(FeedsError, match=message):
        configured_feeds(configured)
    config.write_text(yaml.safe_dump({"feeds": configured}))
    result = intel("update")
    assert result.exit_code == 2 and str(config) in result.stderr


def test_the_default_feeds_are_valid_and_none_is_configured_away_by_saying_nothing() -> None:
    assert configured_feeds(None) is DEFAULT_FEEDS
    as_configured: Optional[list[Any]] = [
        {("format" if k == "form" else k): v for k, v in feed._asdict().items()} for feed in DEFAULT_FEEDS
    ]
    assert configured_feeds(as_configured) == DEFAULT_FEEDS
    assert configured_feeds([]) == ()
