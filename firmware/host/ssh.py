"""Another machine, reached by ssh: the host program plays there, in a folder that is removed after.

Only `ssh` and a POSIX shell over there are needed. Host name, user, port and key come from the
user's own ssh configuration; nothing is ever asked for (BatchMode).
"""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from engine.errors import ConfigError, TudorError
from firmware.host.build import TARGETS, Target, tool

CONNECT_SECONDS = 10
ASK_SECONDS, PLAY_SECONDS = 120, 600
SSH_FAILED, CANNOT_RUN = 255, 126  # exit codes of ssh itself, and of a shell
HINTS = {
    "Permission denied": "no password is asked for here: give it your key with ssh-copy-id {host}",
    "Host key verification failed": "connect once by hand to accept its key: ssh {host}",
    "Could not resolve": "check the name, or add it to ~/.ssh/config",
}
# Marked, since a login shell may greet; `df` in KiB: the fourth column is what is free.
ARRIVE = """
folder=$(mktemp -d "${TMPDIR:-/tmp}/tudor-XXXXXXXX") || exit 73
printf 'tudor-folder %s\\n' "$folder"
printf 'tudor-free %s\\n' "$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')"
"""
ABOUT = """
printf 'tudor-machine %s\\n' "$(uname -sm)"
printf 'tudor-os %s\\n' "$(uname -sr)"
printf 'tudor-load %s\\n' "$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null)"
printf 'tudor-cores %s\\n' "$(nproc 2>/dev/null)"
printf 'tudor-board %s\\n' "$(tr -d '\\0' < /proc/device-tree/model 2>/dev/null)"
printf 'tudor-cpu %s\\n' "$(sed -n '/^model name/{s/.*: *//p;q;}' /proc/cpuinfo 2>/dev/null)"
governor=/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor
printf 'tudor-governor %s\\n' "$(cat $governor 2>/dev/null)"
"""


class Remote:
    """A machine for the time of a `with` block. `facts`: what it says of itself."""

    def __init__(self, host: str) -> None:
        if not re.fullmatch(r"[^\s-]\S*", host):
            raise ConfigError("ssh wants a host's name such as pi@raspberrypi.local, "
                              f"got {host!r}")
        self.host, self.folder = host, ""
        self._ssh = [tool("ssh"), "-T", "-o", "BatchMode=yes", "-o",
                     f"ConnectTimeout={CONNECT_SECONDS}"]

    def __enter__(self) -> Remote:
        self.facts = self._told(ABOUT)
        self.target = target_for(self.host, self.facts["machine"])
        found = self._told(ARRIVE)
        self.folder, free = found["folder"], found.get("free", "")
        self.free_bytes = 1024 * int(free) if free.isdigit() else None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._ask(f"rm -rf {shlex.quote(self.folder)}")
        except TudorError as failed:
            if kind is None:
                raise TudorError(f"{failed}; {self.folder} was left there") from None

    def send(self, name: str, data: bytes, executable: bool = False) -> None:
        """Write a file into the folder."""
        if self.free_bytes is not None and len(data) > self.free_bytes:
            raise TudorError(f"{self.host} has no space for {name}: {len(data) // 1024} KiB into "
                             f"{self.folder}, where {self.free_bytes // 1024} KiB are free")
        path = shlex.quote(f"{self.folder}/{name}")
        mode = f" && chmod 700 {path}" if executable else ""
        self._ask(f"cat > {path}{mode}", data, f"{name} cannot be written")
        if self.free_bytes is not None:
            self.free_bytes -= len(data)

    def fetch(self, name: str) -> bytes:
        """Read a file of the folder."""
        return self._ask(f"cat {shlex.quote(f'{self.folder}/{name}')}", what="cannot be read")

    def play(self, words: Sequence[str]) -> str:
        """Run the program `host` in the folder; what it says."""
        line = shlex.join(["./host", *words])
        return self._ask(f"cd {shlex.quote(self.folder)} && {line}", what="the program failed",
                         seconds=PLAY_SECONDS).decode("utf-8", "replace")

    def run(self, words: Sequence[str], what: str, seconds: int = ASK_SECONDS) -> str:
        """Run a command in the folder; what it says. `what`: begins the error if it fails."""
        line = f"cd {shlex.quote(self.folder)} && {shlex.join(words)}"
        return self._ask(line, what=what, seconds=seconds).decode("utf-8", "replace")

    def _told(self, script: str) -> dict[str, str]:
        """The marked lines that a script prints."""
        text = self._ask(script, what="cannot be used").decode("utf-8", "replace")
        return dict(re.findall(r"^tudor-(\w+) (.*)$", text, re.MULTILINE))

    def _ask(self, script: str, data: bytes = b"", what: str = "",
             seconds: int = ASK_SECONDS) -> bytes:
        command = [*self._ssh, "--", self.host, f"exec sh -c {shlex.quote(script)}"]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TudorError(f"{self.host} did not answer within {seconds} s") from None
        if done.returncode:
            raise TudorError(self._failure(done.returncode, done.stderr, what))
        return done.stdout

    def _failure(self, code: int, stderr: bytes, what: str) -> str:
        lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        said = lines[-1].strip() if lines else f"exit code {code}"
        if code == SSH_FAILED:
            hint = next((h for sign, h in HINTS.items() if sign in said), "")
            end = "; " + hint.format(host=self.host) if hint else ""
            return f"{self.host} cannot be reached by ssh: {said}{end}"
        if code == CANNOT_RUN:
            return (f"{self.host} cannot run programs in {self.folder}: {said}; if that is mounted "
                    "noexec, set TMPDIR there to another folder")
        return f"{self.host}: {what}: {said}"


def target_for(host: str, machine: str) -> Target:
    """What the program is built for, from what `uname -sm` says."""
    system, _, processor = machine.partition(" ")
    if system == "Linux" and processor == platform.machine():
        return replace(TARGETS["native"], flags=("-static",))
    if machine == "Linux aarch64":
        return TARGETS["aarch64"]
    advice = ""
    if system == "Linux" and re.match(r"armv[5-8]", processor):
        advice = "; install the 64-bit system on it"
    known = " or ".join(sorted({platform.machine(), "aarch64"}))
    raise TudorError(f"{host} is a machine of type {machine or 'unknown'!r}; from here the program "
                     f"is built for Linux on {known}{advice}")
