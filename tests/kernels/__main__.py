"""Boots stock kernels and whole hosts in an emulator and runs minehunt in them (as root; see CONTRIBUTING.md)."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys

from tests.kernels import untouched, whole_host
from tests.kernels.cache import RigError
from tests.kernels.checkout import packed
from tests.kernels.guest import QEMU, Guest, show_through
from tests.kernels.host_image import host_image
from tests.kernels.images import KERNELS, kernel_image

_COULD_NOT_RUN = 2
# Program: the package of Debian that brings it.
_NEEDED = {QEMU: "qemu-system-x86", "qemu-img": "qemu-utils", "debootstrap": "debootstrap", "cpio": "cpio", "mke2fs": "e2fsprogs"}


def main() -> int:
    """0 when all is well, 1 when something was found or failed, 2 when the rig could not run."""
    arguments = _parse()
    if os.geteuid() != 0:
        print("the rig builds images of whole systems, which only root can", file=sys.stderr)
        return _COULD_NOT_RUN
    missing = [package for program, package in _NEEDED.items() if shutil.which(program) is None]
    if missing:
        print(f"the rig lacks packages: apt-get install {' '.join(missing)}", file=sys.stderr)
        return _COULD_NOT_RUN
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As on Ctrl-C, guests end and what was half built is removed.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return int(arguments.action(arguments))
    except RigError as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return _COULD_NOT_RUN


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    run = actions.add_parser("run", help="triage and tests in a guest of each kernel")
    run.add_argument("--kernel", action="append", choices=KERNELS, help="this kernel (can be repeated; default: all)")
    run.add_argument("--quick", action="store_true", help="fewer tests: those that depend most on the kernel")
    run.add_argument("tests", nargs="*", metavar="TEST", help="these tests instead, and options of pytest, after --")
    run.set_defaults(action=_run)
    host = actions.add_parser("host", help="a whole host, used as hosts are")
    host.add_argument("scenarios", nargs="*", metavar="WORD", help="only scenarios with one of these words in their name")
    host.set_defaults(action=_host)
    shell = actions.add_parser("shell", help="a command in a guest, in the checkout as it lies here; its exit status is ours")
    shell.add_argument("--kernel", choices=[*KERNELS, "host"], default="6.1", help="`host` is a whole Debian 12 with systemd")
    shell.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    shell.set_defaults(action=_shell)
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    tests = arguments.tests or (untouched.QUICK if arguments.quick else untouched.SUBJECTS)
    failed = [name for name in arguments.kernel or KERNELS if not untouched.check(kernel_image(name), tests)]
    print(f"\nnot as it should be: {', '.join(failed)}" if failed else "\nall is well")
    return 1 if failed else 0


def _host(arguments: argparse.Namespace) -> int:
    is_well = whole_host.check(arguments.scenarios)
    print("\nall is well" if is_well else "\nnot as it should be")
    return 0 if is_well else 1


def _shell(arguments: argparse.Namespace) -> int:
    with Guest(host_image() if arguments.kernel == "host" else kernel_image(arguments.kernel)) as guest:
        return guest.run(arguments.command, packed(), show=show_through).status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
