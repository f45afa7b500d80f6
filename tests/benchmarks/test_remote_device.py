"""`rtf-bench --device ssh:HOST`, against an ssh server that the tests start themselves."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import benchmarks.remote as remote
from engine.errors import TudorError
from engine.players.native_model import NativeModel
from firmware.host.build import program
from firmware.host.ssh import Remote, target_for
from tests.firmware.machines import bench
from tests.firmware.sshd import Server, served
from tests.golden.golden import read


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def board(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("PATH", f"{server.ssh}:{os.environ['PATH']}")
    yield server
    server.honest()
    server.home.chmod(0o755)
    assert server.left == [], "nothing is left behind, whatever went wrong"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tudor"
    path.write_bytes(read("techno-tiny").model)
    return path


def test_times_of_a_file(board: Server, file: Path, tmp_path: Path,
                         capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.json"
    assert bench("--device", "ssh:board", file, "--block", "100,128,512", "--seconds", "0.5",
                 "--warmup", "0.1", "--json", out) == 0
    data = json.loads(out.read_text())
    assert data["machine"]["machine"] == f"Linux {platform.machine()}"
    assert [row["block_samples"] for row in data["results"]] == [128, 512]
    assert "blocks of 100 were raised to 128" in data["notes"][0]
    small, large = data["results"]
    for row in (small, large):
        assert row["same_bits"]
        assert row["blocks"] == 300
        assert 0 < row["block_ms_min"] <= row["block_ms_p50"] <= row["block_ms_max"]
        assert row["rtf_p50"] == pytest.approx(row["block_ms_p50"] / row["deadline_ms"])
        assert row["p999_over_p50"] == pytest.approx(row["block_ms_p999"] / row["block_ms_p50"])
        assert row["worst_share_of_deadline"] == pytest.approx(
            row["block_ms_max"] / row["deadline_ms"])
    assert small["deadline_ms"] == 8
    assert large["block_ms_min"] > small["block_ms_min"]  # four frames against one
    text = capsys.readouterr().out
    for word in ("RTF p50", "p99.9/p50", "of deadline", "Measured on that machine"):
        assert word in text


@pytest.mark.only_where(platform.machine() != "aarch64", "this machine would run it")
def test_another_machine_s_processor_is_what_is_built_for(board: Server) -> None:
    """An aarch64 program that arrives on this machine is refused there, and said."""
    board.fake("uname", 'if [ "$1" = -sm ]; then echo Linux aarch64; else echo Linux 6; fi')
    with Remote("board") as machine:
        assert machine.target.name == "aarch64"
        machine.send("host", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44),
                     executable=True)
        with pytest.raises(TudorError, match=r"board cannot run programs in .*Exec format error"):
            machine.play(["model"])


def test_other_bits_are_found(board: Server, file: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(NativeModel):
        def process(self, *words: object) -> np.ndarray:  # type: ignore[override]
            y = super().process(*words)  # type: ignore[arg-type]
            y.view(np.uint32)[0, 0, -1] ^= 1
            return y

    monkeypatch.setattr(remote, "NativeModel", Wrong)
    assert bench("--device", "ssh:board", file, "--seconds", "0.1") == 1
    assert "plays other bits on board" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "said"), [
    ("closed", "Permission denied (publickey).; no password is asked for here: give it your key"),
    ("off", "Connection refused"),
    ("new", "connect once by hand to accept its key: ssh new"),
    ("nowhere.invalid", "check the name, or add it to ~/.ssh/config"),
    ("-oProxyCommand=true", "wants a host's name"),
    ("", "wants a host's name"),
])
def test_a_host_that_cannot_be_reached(board: Server, file: Path, host: str, said: str,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--device", f"ssh:{host}", file) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "script", "said"), [
    ("uname", "echo Linux armv7l", "type 'Linux armv7l'; from here the program is built for "
     "Linux on aarch64 or x86_64; install the 64-bit system on it"),
    ("uname", "echo Darwin arm64", "type 'Darwin arm64'"),
    ("df", "printf 'a\\nx 9 8 100 1%% /\\n'", "has no space for host: "),
    ("cat", "echo 'cat: write error: No space left on device' >&2; exit 1",
     "host cannot be written: cat: write error: No space left on device"),
    ("mktemp", "echo 'mktemp: Permission denied' >&2; exit 1", "mktemp: Permission denied"),
])
def test_a_machine_that_will_not_do(board: Server, file: Path, name: str, script: str, said: str,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    if platform.machine() != "x86_64":
        said = said.replace("aarch64 or x86_64", "aarch64")
    board.fake(name, script)
    assert bench("--device", "ssh:board", file, "--seconds", "0.1") == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_the_program_refuses_is_said(board: Server) -> None:
    with Remote("board") as machine:
        machine.send("host", program(machine.target).read_bytes(), executable=True)
        machine.send("model", b"no model at all" * 10)
        with pytest.raises(TudorError, match=r"the program failed: .*not a tudor model file"):
            machine.play(["model", "forward", "in", "out"])


def test_a_folder_that_cannot_be_removed_is_said(board: Server) -> None:
    board.fake("rm", "echo 'rm: cannot remove it' >&2; exit 1")
    with pytest.raises(TudorError, match=r"cannot remove it; .*tudor-\w+ was left there"), \
            Remote("board"):
        pass
    board.honest()
    for folder in board.left:
        folder.rmdir()


def test_types_of_machine() -> None:
    assert target_for("x", "Linux aarch64").name in ("aarch64", "native")
    assert "-static" in target_for("x", f"Linux {platform.machine()}").flags


@pytest.mark.parametrize(("words", "said"), [
    (("model.onnx",), "plays .tudor files"),
    (("none.tudor",), "none.tudor does not exist"),
    (("model.onnx", "--layers"), "leave out --plot, --silence, --layers, --threads"),
])
def test_mistakes_are_said_before_anyone_is_called(words: tuple[str, ...], said: str,
                                                   capsys: pytest.CaptureFixture[str],
                                                   tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").touch()
    assert bench("--device", "ssh:nowhere.invalid", *words) == 1
    assert said in capsys.readouterr().err
