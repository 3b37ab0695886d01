"""Fetches one feed over HTTP: bounded in time, size and redirects, and nothing but text comes out."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import zlib
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import IO, NamedTuple, Optional
from urllib.parse import urlsplit

from extension import __version__
from extension.intel.normalise import is_web_address

MAX_BYTES = 64 << 20
_MAX_REDIRECTS = 5
_CHUNK = 1 << 16


class DownloadError(Exception):
    """The feed could not be fetched; the message says why."""


class Downloaded(NamedTuple):
    """A feed's text; `modified` is the ISO day of its last change, where the server says so."""

    text: str
    modified: Optional[str]


def download(url: str, timeout: float = 30.0, max_bytes: int = MAX_BYTES) -> Downloaded:
    """The text at `url`, fetched within `timeout` seconds for the answer to begin and six times that for the whole.

    Raises DownloadError for an answer that is an error, too slow, too large (compressed or not), cut short, a web page,
    empty, no UTF-8 text, or redirected too often or from https to http.
    """
    deadline = time.monotonic() + 6 * timeout
    if not is_web_address(url):
        raise DownloadError("no http or https address")
    request = urllib.request.Request(url, headers={"User-Agent": f"minehunt/{__version__}"})  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_Redirects)
    try:
        with opener.open(request, timeout=timeout) as response:
            data = _body(response, deadline, max_bytes)
            kind, modified = response.headers.get_content_type(), response.headers.get("Last-Modified")
    except urllib.error.HTTPError as error:
        raise DownloadError(f"HTTP status {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise DownloadError(f"no answer: {error.reason}") from None
    except (TimeoutError, OSError, HTTPException, ValueError) as error:
        raise DownloadError(f"no answer: {error or type(error).__name__}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DownloadError("the answer is no UTF-8 text") from None
    if kind == "text/html" or text.lstrip()[:1] == "<":
        raise DownloadError("the answer is a web page, not a list")
    if not text.strip():
        raise DownloadError("the answer is empty")
    return Downloaded(text, _day(modified))


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Optional[urllib.request.Request]:
        if not is_web_address(newurl) or (req.type == "https" and urlsplit(newurl).scheme != "https"):
            raise urllib.error.URLError("redirected from https to something less safe, or to no web address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # as http.client has it


def _body(response: HTTPResponse, deadline: float, max_bytes: int) -> bytes:
    # Compression is not asked for; some servers send what they have.
    is_packed = response.headers.get("Content-Encoding", "").lower() in ("gzip", "deflate")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if is_packed else None
    received = 0
    chunks: list[bytes] = []
    size = 0
    while True:
        chunk = response.read1(_CHUNK)
        received += len(chunk)
        try:
            piece = unpack.decompress(chunk, max_bytes + 1 - size) if unpack and chunk else chunk
        except zlib.error as error:
            raise DownloadError(f"the answer is not valid gzip: {error}") from None
        size += len(piece)
        if size > max_bytes or received > max_bytes:
            raise DownloadError(f"the answer is larger than {max_bytes >> 20} MiB")
        if not chunk:
            break
        chunks.append(piece)
        if time.monotonic() > deadline:
            raise DownloadError("the answer takes too long")
    expected = response.headers.get("Content-Length", "")
    if (expected.isdigit() and received < int(expected)) or (unpack and not unpack.eof):
        raise DownloadError("the answer was cut short")
    return b"".join(chunks)


def _day(modified: Optional[str]) -> Optional[str]:
    try:
        return parsedate_to_datetime(modified).date().isoformat() if modified else None
    except ValueError:
        return None
