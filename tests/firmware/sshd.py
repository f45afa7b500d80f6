"""An ssh server of the tests' own: a high port, keys made for it, nothing of the user's touched.

As an ordinary user it serves that user alone. Root's server insists on /run/sshd; that folder is
made where it is not there, and stays: the server of another test process may need it still.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path
from threading import Thread

import pytest

from firmware.host.build import MissingToolError, tool

PRIVILEGE_FOLDER = Path("/run/sshd")


@dataclass(frozen=True)
class Server:
    """A running server. `bin`: comes first in the PATH of what runs there; `home`: its TMPDIR."""

    port: int
    bin: Path
    home: Path
    ssh: Path  # a folder with an `ssh` that knows the server as "board"

    def fake(self, name: str, script: str) -> None:
        """Replace a command over there."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def honest(self) -> None:
        """No command is replaced any more."""
        for path in self.bin.iterdir():
            path.unlink()

    @property
    def left(self) -> list[Path]:
        """What lies in its TMPDIR."""
        return sorted(self.home.iterdir())


def sshd() -> str:
    """The server's program; it may lie where only root looks."""
    try:
        return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or tool("sshd")
    except MissingToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server for the time of the block; everything it needs lies in `folder`."""
    program = sshd()
    if os.getuid() == 0:
        PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    server = Server(_free_port(), folder / "bin", folder / "home", folder / "ssh")
    for made in (server.bin, server.home, server.ssh):
        made.mkdir()
    for key in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key],
                       check=True)
    process = _start(program, folder, server)
    while process is None:  # somebody was quicker at that port
        server = replace(server, port=_free_port())
        process = _start(program, folder, server)
    _client(folder, server)
    try:
        yield server
    finally:
        process.terminate()
        process.wait()


def _server_config(folder: Path, server: Server) -> str:
    # SHLVL: bash then leaves ~/.bashrc alone, which may take a minute and is not what is tested.
    return "\n".join([
        f"Port {server.port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/user.pub", f"PidFile {folder}/pid", "StrictModes no",
        "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        f"SetEnv PATH={server.bin}:/usr/bin:/bin TMPDIR={server.home} SHLVL=1", "",
    ])


def _client(folder: Path, server: Server) -> None:
    """`ssh` with a configuration of its own, as a user's ~/.ssh/config would be."""
    host = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{server.port} {' '.join(host)}\n")
    here = f"  HostName 127.0.0.1\n  Port {server.port}\n  User {getuser()}\n"
    strict = f"  StrictHostKeyChecking yes\n  UserKnownHostsFile {folder}/known\n"
    alone = "  IdentitiesOnly yes\n  IdentityAgent none\n"
    (folder / "client").write_text(
        f"Host board\n{here}{strict}{alone}  IdentityFile {folder}/user\n"
        f"Host closed\n{here}{strict}{alone}  IdentityFile {folder}/stranger\n"
        f"Host new\n{here}  StrictHostKeyChecking yes\n  UserKnownHostsFile /dev/null\n{alone}"
        f"  IdentityFile {folder}/user\n"
        f"Host off\n  HostName 127.0.0.1\n  Port {_free_port()}\n")
    wrapper = server.ssh / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {tool("ssh")} -F {folder}/client "$@"\n')
    wrapper.chmod(0o755)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _start(program: str, folder: Path, server: Server) -> subprocess.Popen[str] | None:
    """The server's process, once it listens; None where its port is taken."""
    (folder / "config").write_text(_server_config(folder, server))
    process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], text=True,
                               stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = []
    for line in process.stderr:  # ends with the process
        said.append(line)
        if f"Server listening on 127.0.0.1 port {server.port}" in line:
            # What it says from here on must be read, or it would wait for a reader.
            Thread(target=process.stderr.read, daemon=True).start()
            return process
    process.wait()
    assert "Address already in use" in "".join(said), f"sshd does not listen: {said}"
    return None
