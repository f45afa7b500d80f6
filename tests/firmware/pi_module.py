"""The service as a Pi runs it, in a folder that stands for its card, behind an SSH server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from common_models import vae
from pi_build import alsa, program, settings
from sshd import Server

from firmware.flash import update
from firmware.pi import build, status

# A card that takes 64 KiB twenty times a second: one without a clock would take a whole core. Only
# a count of nothing ends it: sound may well begin with a byte that a shell would drop.
PACED = """
pcm.none { type null }
pcm.filed { type file slave.pcm none format raw
  file "| while [ $(head -c 65536 | wc -c) -gt 0 ]; do sleep 0.05; done" }
pcm.played { type null }
"""
# Type=notify: `restart` ends when blocks are played, or fails where the program ends or the unit
# says so. After 30 s systemd would give up; here a program that hangs says so itself (`hangs`).
SYSTEMCTL = """
root={root}
export PATH={bin}:$PATH
if [ "$1" = daemon-reload ]; then
  rm -rf $root/run/units
  mkdir $root/run/units
  TUDOR_ROOT=$root sh {generator} $root/run/units || exit 1
  exit
fi
[ "$1" = restart ] || exit 0
if [ -e $root/pid ]; then
  kill "$(cat $root/pid)" 2>/dev/null
  for i in $(seq 50); do
    $root/usr/bin/tudor-module --status >/dev/null 2>&1 && sleep 0.1 || break
  done
  kill -9 "$(cat $root/pid)" 2>/dev/null
  rm -f $root/pid $root/status
fi
rm -f $root/hangs
told() {{ # what the unit runs at $1, the card's own scripts where they would be
  sed -n "s|^$1=+*||p" $root/run/units/* 2>/dev/null | sed "s|^/usr/lib|$root/usr/lib|"
}}
first=$(told ExecStartPre) start=$(told ExecStart)
TUDOR_ROOT=$root ${{first:-sh {update} recover}} || exit 1
program=$root/var/lib/tudor/current/usr/bin/tudor-module
[ -x "$program" ] || program=$root/usr/bin/tudor-module
TUDOR_ROOT=$root ALSA_CONFIG_PATH={alsa} ${{start:-$program}} >$root/log 2>&1 </dev/null &
echo $! >$root/pid
while [ ! -e $root/hangs ]; do
  sleep 0.1
  timeout 5 "$program" --status 2>/dev/null | grep -q '^blocks [1-9]' && exit 0
  kill -0 "$(cat $root/pid)" 2>/dev/null || exit 1
done
exit 1
"""


CUT = "  kill -9 0\n"  # all of the session, subshells too


class Module:
    """A module under a folder of its own, reached as root@board by ssh."""

    def __init__(self, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.server = folder / "root", server
        self.models = self.root / "boot/firmware/tudor"
        self.state = self.root / "var/lib/tudor"
        for made in (self.models, self.state, self.root / "usr/bin", self.root / "run"):
            made.mkdir(parents=True)
        config = settings(self.root, self.models)
        (self.root / "asound.conf").write_text(PACED)
        self.wrapper = f'#!/bin/sh\nexec {program()} --config {config} "$@"\n'
        path = self.root / "usr/bin/tudor-module"
        path.write_text(self.wrapper)
        path.chmod(0o755)
        self.script = folder / "update"
        text = (build.HERE / "update").read_text()
        self.script.write_text(text.replace(
            "set -u\n", f"set -u\nTUDOR_ROOT={self.root}\nTUDOR_WAIT=300\n", 1))
        monkeypatch.setattr(update, "SCRIPT", self.script)
        monkeypatch.setenv("PATH", str(server.ssh), prepend=":")
        server.fake("systemctl", SYSTEMCTL.format(
            root=self.root, bin=server.bin, update=self.script,
            generator=build.HERE / "tudor-module-generator",
            alsa=alsa(self.root)["ALSA_CONFIG_PATH"]))
        server.fake("tudor-module", f'exec {program()} --config {config} "$@"')
        (self.models / "old.tudor").write_bytes(vae())
        self.restart()

    def restart(self) -> None:
        subprocess.run([str(self.server.bin / "systemctl"), "restart", "tudor-module"], check=True)

    def boot(self) -> None:
        """The power comes back: nothing in memory, units read again, the service started."""
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        subprocess.run([str(self.server.bin / "systemctl"), "daemon-reload"], check=True)
        self.restart()

    def cut(self, script: str, folder: Path) -> None:
        """Runs the update as `script`, which has a CUT in it: nothing that it started goes on."""
        path = folder.with_name("cut")
        path.write_text(script)
        done = subprocess.run(["sh", str(path), "apply", str(folder)], capture_output=True,
                              start_new_session=True,
                              env={"PATH": f"{self.server.bin}:/usr/bin:/bin"})
        assert done.returncode == -9

    @property
    def unit(self) -> bytes | None:
        """What systemd goes by; None: the card's own."""
        path = self.root / "run/units/tudor-module.service"
        return path.read_bytes() if path.exists() else None

    def snapshot(self) -> dict[str, bytes | str]:
        """Everything that would have to be as it was."""
        found: dict[str, bytes | str] = {}
        for path in sorted([*self.models.rglob("*"), *self.state.rglob("*")]):
            name = str(path.relative_to(self.root))
            found[name] = str(path.readlink()) if path.is_symlink() else (
                path.read_bytes() if path.is_file() else "folder")
        return found

    def playing(self) -> dict[int, str]:
        return status.status("board")["models"]

    def end(self) -> None:
        pid = self.root / "pid"
        if pid.exists():
            subprocess.run(["kill", pid.read_text().strip()])
