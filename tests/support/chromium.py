"""A headless Chromium, driven over the DevTools protocol through a pipe; without a network of its own where we are root."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from typing_extensions import Self

_TIMEOUT = 60.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-extensions", "--disable-background-networking", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def find_chromium() -> Optional[str]:
    """Path of the browser, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _move_up(fd: int) -> int:
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(fd)
    return moved


class Chromium:
    """A browser with one empty page; `events` are all that the protocol has told of the page, oldest first."""

    def __init__(self) -> None:
        program = find_chromium()
        assert program is not None
        self._profile = tempfile.mkdtemp(prefix="minehunt-chromium-")
        # The browser reads commands from file descriptor 3 and writes to 4; neither may be one of ours.
        theirs, self._commands = map(_move_up, os.pipe())
        self._answers, theirs_too = map(_move_up, os.pipe())
        script = f'exec 3<&{theirs} 4>&{theirs_too} {theirs}<&- {theirs_too}>&-; exec "$@"'
        isolate = ["unshare", "--net"] if os.geteuid() == 0 else []
        options = [*_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        command = ["bash", "-c", script, "bash", *isolate, program, *options]
        environment = {**os.environ, "HOME": self._profile}
        self._process = subprocess.Popen(
            command, pass_fds=[theirs, theirs_too], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
        )
        os.close(theirs)
        os.close(theirs_too)
        self._buffer = b""
        self._number = 0
        self._session: Optional[str] = None
        self.events: list[dict[str, Any]] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        target = next(one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.size(1120, 900)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove what it has written."""
        os.close(self._commands)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)
        # Helpers of its own may still be writing there for a moment.
        shutil.rmtree(self._profile, ignore_errors=True)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; AssertionError with the browser's words when it fails."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError(f"{method}: the browser ended")

    def open(self, address: str) -> None:
        """Load a page and wait until it is complete."""
        loaded = sum(event["method"] == "Page.loadEventFired" for event in self.events)
        self.ask("Page.navigate", url=address)
        end = time.monotonic() + _TIMEOUT
        while sum(event["method"] == "Page.loadEventFired" for event in self.events) == loaded:
            assert time.monotonic() < end, "the page did not load"
            self.value("1")

    def value(self, expression: str) -> Any:
        """What JavaScript of ours, in the page, comes to."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def size(self, width: int, height: int) -> None:
        """Make the window so large, in CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str = "light", media: str = "") -> None:
        """Have the page believe in a colour scheme and a medium ("print")."""
        self.ask("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, first: str = "html", last: str = "html", scale: float = 1.0) -> bytes:
        """The page as a PNG, from the top of one element (a CSS selector) to the bottom of another."""
        top = self.value(f"document.querySelector('{first}').getBoundingClientRect().top + scrollY")
        bottom = self.value(f"document.querySelector('{last}').getBoundingClientRect().bottom + scrollY")
        width = self.value("document.documentElement.clientWidth")
        clip = {"x": 0, "y": max(0, top - 24), "width": width, "height": bottom - max(0, top - 24) + 24, "scale": scale}
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """The page printed as its CSS wants."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def complaints(self) -> list[str]:
        """Everything that went to the console: messages, errors, refusals of the content security policy."""
        told = []
        for event in self.events:
            parameters = event["params"]
            if event["method"] == "Log.entryAdded":
                told.append(parameters["entry"]["text"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
                told.append(json.dumps(parameters))
        return told

    def requests(self) -> list[str]:
        """Addresses of everything that was asked for."""
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" not in self._buffer:
                poll = select.poll()
                poll.register(self._answers, select.POLLIN)
                assert poll.poll(_TIMEOUT * 1000), "no answer from the browser"
                data = os.read(self._answers, 1 << 20)
                if not data:
                    return
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\0")
            message = json.loads(line)
            if "id" not in message:
                self.events.append(message)
            yield message
