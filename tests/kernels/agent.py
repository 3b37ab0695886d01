"""Runs inside the guest: takes commands from the virtio port, runs each in the checkout it came with, sends back what it says.

A request is a line of JSON (command, environment, time, size of the tar) and the tar; an answer is frames of a kind
(`o` output, `e` errors, `x` exit status), a length and the bytes. Needs nothing but Python's own library.
"""

import io
import json
import os
import pathlib
import selectors
import shutil
import struct
import subprocess
import sys
import tarfile
import time

CHECKOUT = "/srv/minehunt"


def named(file):
    """Whether the file of a port's name holds that of ours."""
    return file.read_text().strip() == "minehunt"


class Port:
    """The port as whole reads and writes; a host that is gone for a while is waited for."""

    def __init__(self):
        while not (found := [name for name in pathlib.Path("/sys/class/virtio-ports").glob("*/name") if named(name)]):
            time.sleep(0.1)
        self.number = os.open(f"/dev/{found[0].parent.name}", os.O_RDWR | os.O_CLOEXEC)
        self.buffer = b""

    def more(self):
        data = os.read(self.number, 1 << 16)
        if not data:
            time.sleep(0.2)
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def read(self, length):
        while len(self.buffer) < length:
            self.more()
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def frame(self, kind, data=b""):
        message = kind + struct.pack(">I", len(data)) + data
        while message:
            message = message[os.write(self.number, message) :]


def answer(port):
    """Serve one request."""
    request = json.loads(port.line())
    tar = port.read(request["size"])
    time.clock_settime(time.CLOCK_REALTIME, request["time"])
    if tar:
        shutil.rmtree(CHECKOUT, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            archive.extractall(CHECKOUT)
    os.makedirs(CHECKOUT, exist_ok=True)
    try:
        process = subprocess.Popen(
            request["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=CHECKOUT,
            env={**os.environ, **request["environment"]},
            start_new_session=True,
        )
    except OSError as error:
        port.frame(b"e", f"{error}\n".encode())
        port.frame(b"x", b"127")
        return
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, b"o")
        selector.register(process.stderr, selectors.EVENT_READ, b"e")
        # Until the command ends: what it left running in the background may hold its output open.
        while selector.get_map() and (process.poll() is None or selector.select(0)):
            for ready, _ in selector.select(0.2):
                data = os.read(ready.fd, 1 << 16)
                if data:
                    port.frame(ready.data, data)
                else:
                    selector.unregister(ready.fileobj)
    process.stdout.close()
    process.stderr.close()
    port.frame(b"x", str(process.wait()).encode())


def main():
    """Say that the guest is up, then serve for ever."""
    port = Port()
    port.frame(b"x", b"0")
    while True:
        answer(port)


if __name__ == "__main__":
    sys.exit(main())
