"""Public keys as OpenSSH decodes them, checked against ssh-keygen where there is one."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.ssh.keys import decode_key, parse_authorized_keys, parse_options

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIB7PVjVQmHfqqxDsSpWUW3tDpV7cGjC5vDhmy0eVvBGn"
# The base point of the curve (FIPS 186-4 D.1.2.3), uncompressed.
P256 = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on PATH")


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(map(field, fields))).decode()


def keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], capture_output=True, text=True, check=True).stdout


@needs_ssh_keygen
@pytest.mark.parametrize(
    "kind", ["rsa -b 1024", "rsa -b 2048", "ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521"]
)  # fmt: skip
def test_as_ssh_keygen_prints_it(tmp_path: Path, kind: str) -> None:
    keygen("-q", "-N", "", "-C", "a comment", "-f", str(tmp_path / "key"), "-t", *kind.split())
    public = tmp_path / "key.pub"
    bits, fingerprint, *_ = keygen("-lf", str(public)).split()
    (line,) = parse_authorized_keys(public.read_bytes(), 10)
    assert line.key is not None
    assert (str(line.key.bits), line.key.fingerprint, line.comment) == (bits, fingerprint, "a comment")


@needs_ssh_keygen
def test_a_certificate_has_the_fingerprint_of_its_key(tmp_path: Path) -> None:
    for name in ("authority", "user"):
        keygen("-q", "-N", "", "-t", "ed25519", "-f", str(tmp_path / name))
    keygen("-q", "-s", str(tmp_path / "authority"), "-I", "id", "-n", "anna", str(tmp_path / "user.pub"))
    (plain,) = parse_authorized_keys((tmp_path / "user.pub").read_bytes(), 10)
    (certificate,) = parse_authorized_keys((tmp_path / "user-cert.pub").read_bytes(), 10)
    assert plain.key is not None and certificate.key is not None
    assert certificate.key.fingerprint == plain.key.fingerprint == keygen("-lf", str(tmp_path / "user-cert.pub")).split()[1]
    assert certificate.key.key_type == "ssh-ed25519-cert-v01@openssh.com"


def test_dsa_keys_that_newer_ssh_keygens_refuse() -> None:
    fields = (b"\0\x80" + bytes(126) + b"\x01", b"\x7f" * 20, b"\x02", b"\x03")
    key = decode_key("ssh-dss", blob(b"ssh-dss", *fields))
    assert key is not None and key.bits == 1024


@needs_ssh_keygen
@pytest.mark.parametrize(
    ("key_type", "fields"),
    [
        ("sk-ssh-ed25519@openssh.com", (base64.b64decode(ED25519)[-32:], b"ssh:")),
        ("sk-ecdsa-sha2-nistp256@openssh.com", (b"nistp256", P256, b"ssh:")),
    ],
)
def test_keys_of_hardware(tmp_path: Path, key_type: str, fields: tuple[bytes, ...]) -> None:
    text = blob(key_type.encode(), *fields)
    (tmp_path / "key.pub").write_text(f"{key_type} {text} token\n")
    bits, fingerprint, *_ = keygen("-lf", str(tmp_path / "key.pub")).split()
    key = decode_key(key_type, text)
    assert key is not None and (str(key.bits), key.fingerprint) == (bits, fingerprint)


@pytest.mark.parametrize(
    ("line", "options", "comment"),
    [
        (f"ssh-ed25519 {ED25519}", (), ""),
        (f"ssh-ed25519 {ED25519} anna@host with words", (), "anna@host with words"),
        (f'restrict,from="10.0.0.0/8,!10.1.1" ssh-ed25519 {ED25519}', (("restrict", None), ("from", "10.0.0.0/8,!10.1.1")), ""),
        (f'command="echo \\"a b\\"; exit" ssh-ed25519\t{ED25519} y', (("command", 'echo "a b"; exit'),), "y"),
        (f"NO-PTY,tunnel=1 ssh-ed25519 {ED25519}\r", (("no-pty", None), ("tunnel", "1")), ""),
    ],
)  # fmt: skip
def test_lines(line: str, options: tuple[tuple[str, str], ...], comment: str) -> None:
    (found,) = parse_authorized_keys(line.encode(), 10)
    assert found.key is not None and found.options == options and found.comment == comment
    assert not found.has_control_characters


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f"ssh-rsa {ED25519}",
        f"ssh-ed25519 {ED25519[:-2]}",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        f'command="never closed ssh-ed25519 {ED25519}',
        "ssh-ed25519 " + "A" * 100_000,
    ],
)
def test_what_is_no_key(line: str) -> None:
    (found,) = parse_authorized_keys(line.encode(), 10)
    assert found.key is None and found.comment == ""


def test_numbers_comments_and_the_limit() -> None:
    text = f"# first\n\nssh-ed25519 {ED25519} a\x1b[2K\nssh-ed25519 {ED25519} b\nssh-ed25519 {ED25519} c\n".encode()
    found = list(parse_authorized_keys(text, 4))
    assert [(line.line, line.has_control_characters) for line in found] == [(3, True), (4, False)]


@given(st.binary(max_size=400))
def test_no_bytes_fail(data: bytes) -> None:
    for line in parse_authorized_keys(data, 100):
        assert line.line >= 1
        assert line.key is None or line.key.fingerprint.startswith("SHA256:")


@given(st.sampled_from(["ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-rsa-cert-v01@openssh.com"]), st.binary(max_size=80))
def test_no_blob_fails(key_type: str, data: bytes) -> None:
    decode_key(key_type, base64.b64encode(field(key_type.encode()) + data).decode())


@given(st.text(alphabet='ab-=",\\ \t'))
def test_no_options_fail(text: str) -> None:
    options, rest = parse_options(text)
    assert len(options) <= len(text) and len(rest) <= len(text)
