"""minehunt's own packages on a whole Debian system: installed, served to a core, and removed without a trace."""

from __future__ import annotations

import tempfile
from pathlib import Path

from build import packages, runtime_package
from tests.support.osquery_wire import wire_in_folder

_TABLES = ("startup_commands", "process_tree", "hidden_processes")
# Changes go to memory. dpkg's own records and logs, and what programs that see a new package renew, are no traces of ours.
_SCRIPT = r"""
exec >&2
shared=$1 tree=$2 room=$3
mount -t tmpfs none "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$room/upper,workdir=$room/work" "$room/root"
root=$room/root
mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
mkdir -p "$root$shared"; mount --rbind "$shared" "$root$shared"
list() {
    find "$root" -xdev ! -path "$root$shared*" ! -path "$root/var/lib/dpkg/*" ! -path "$root/var/cache/*" \
        ! -path "$root/var/log/*" ! -path "$root/run/*" ! -path "$root/etc/ld.so.cache" | LC_ALL=C sort
}
list > "$shared/before"
chroot "$root" dpkg -i "$shared"/*_all.deb "$shared"/*_amd64.deb
chroot "$root" grep -x /usr/lib/minehunt/minehunt.ext /etc/osquery/extensions.load
chroot "$root" /usr/lib/minehunt/minehunt.ext --socket "$shared/osquery.em" --timeout 10 --interval 1 &
while [ ! -e "$shared/asked" ]; do sleep 0.1; kill -0 $!; done
kill $!; wait $! || true
chroot "$root" dpkg --purge minehunt minehunt-runtime
list > "$shared/after"
diff "$shared/before" "$shared/after"
"""


def problems(tree: Path) -> list[str]:
    """What goes wrong on the system whose root folder is `tree`, which stays as it is; in words."""
    with wire_in_folder() as wire, tempfile.TemporaryDirectory(prefix="minehunt-installed-") as room:
        folder = Path(wire.folder)
        packages.build(folder)
        runtime_package.build(folder)
        script = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _SCRIPT, "sh", str(folder), str(tree), room]
        done = wire.spawn(program=script)
        try:
            wire.wait_served(done)
            found = [f"{table} has no answer" for table in _TABLES if wire.ask(f"SELECT count(*) FROM {table}").status.code]
        except AssertionError as error:
            found = [str(error)]
        (folder / "asked").touch()
        status = done.wait()
        return found + ([f"exit {status}: {done.stderr[-3000:]}"] if status else [])
