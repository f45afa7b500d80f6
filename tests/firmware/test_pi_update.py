"""`tudor flash pi --ssh`: a module on a server of the tests' own gets new models and a new program,
or keeps what it had. The service is the real program on a card that is none."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_image import make_package
from common_models import vae
from sshd import served

from engine.errors import TudorError
from firmware.flash import update
from firmware.pi import build
from tests.firmware.pi_module import CUT, Module


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    with served(folder) as server:
        made = Module(tmp_path, server, monkeypatch)
        yield made
        made.end()


def model(folder: Path, name: str, seed: int = 1) -> Path:
    path = folder / name
    path.write_bytes(vae(seed=seed))
    return path


def test_new_models_play(module: Module, tmp_path: Path) -> None:
    model(tmp_path, "new.tudor").with_suffix(".map").write_text("")
    report = update.update("board", None, [tmp_path / "new.tudor"])
    assert report["lines"] == ["board: new.tudor; plays"]
    assert module.playing() == {1: "new", 2: "old"}
    update.update("board", None, [model(tmp_path, "old.tudor", seed=2)])
    assert module.playing() == {1: "new", 2: "old"}
    assert (module.models / "old.tudor").read_bytes() == vae(seed=2)
    assert sorted(p.name for p in module.models.iterdir()) == ["new.map", "new.tudor", "old.tudor"]
    assert not list(module.state.glob("*pending"))
    assert module.server.left == []


def test_a_new_program_plays_and_the_last_one_is_dropped(module: Module, tmp_path: Path) -> None:
    for number in ("2.0", "3.0"):
        package = make_package(tmp_path, number, module.wrapper.encode())
        update.update("board", package, [])
        assert str((module.state / "current").readlink()) == f"versions/{number}"
    assert [p.name for p in (module.state / "versions").iterdir()] == ["3.0"]
    assert module.playing() == {1: "old"}


def unit(seconds: int) -> bytes:
    return f"[Service]\nWatchdogSec={seconds}\n".encode()


def test_a_program_brings_its_unit_and_takes_it_back_with_it(module: Module, tmp_path: Path
                                                             ) -> None:
    assert module.unit is None
    bad = b"[Service]\nExecStart=/bin/false\n"
    program = module.wrapper.encode()
    with pytest.raises(TudorError, match="does not start; what was there before is back"):
        update.update("board", make_package(tmp_path, "1.0", program, unit=bad), [])
    assert module.unit is None
    update.update("board", make_package(tmp_path, "2.0", program, unit=unit(7)), [])
    assert module.unit == unit(7)
    with pytest.raises(TudorError, match="does not start; what was there before is back"):
        update.update("board", make_package(tmp_path, "3.0", program, unit=bad), [])
    assert module.unit == unit(7)
    assert module.playing() == {1: "old"}
    update.update("board", None, [model(tmp_path, "new.tudor")])
    update.update("board", make_package(tmp_path, "4.0", program, unit=unit(9)), [])
    module.boot()
    assert module.unit == unit(9)
    assert module.playing() == {1: "new", 2: "old"}


@pytest.mark.parametrize("before", [None, unit(7)])
def test_a_cut_in_an_update_starts_with_the_old_unit(
        module: Module, tmp_path: Path, before: bytes | None) -> None:
    """The new unit would not even take the update back."""
    program = module.wrapper.encode()
    if before:
        update.update("board", make_package(tmp_path, "2.0", program, unit=before), [])
    package = make_package(tmp_path, "3.0", program, unit=b"[Service]\nExecStart=/bin/false\n")
    folder = tmp_path / "incoming"
    folder.mkdir()
    shutil.copy(package, folder / "package.deb")
    text = module.script.read_text()
    module.cut(text.replace("comes_up() {\n", f"comes_up() {{\n{CUT}", 1), folder)
    assert str((module.state / "current").readlink()) == "versions/3.0"
    module.boot()
    assert module.unit == before
    assert (module.state / "current").exists() == (before is not None)
    assert module.playing() == {1: "old"}


def test_a_unit_runs_the_scripts_that_came_with_it(module: Module, tmp_path: Path) -> None:
    """Else the card's own; and never those of a program that is still on trial after a cut."""
    real, ran = (build.HERE / "tudor-module.service").read_bytes(), tmp_path / "ran"
    program = module.wrapper.encode()

    def scripts(name: str) -> dict[str, str]:
        rest = {"start": f"exec sh {build.HERE}/start", "update": f'exec sh {module.script} "$@"'}
        return {file: f"echo {name} {file} >>{ran}\n{text}" for file, text in rest.items()}

    def started() -> list[str]:
        lines = ran.read_text().splitlines()
        ran.unlink()
        return lines

    for file, text in scripts("card").items():
        path = module.root / "usr/lib/tudor" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    update.update("board", make_package(tmp_path, "1.0", program, unit=real), [])
    assert started() == ["card update", "card start"]
    new = make_package(tmp_path, "2.0", program, unit=real, scripts=scripts("2.0"))
    update.update("board", new, [])
    assert started() == ["2.0 update", "2.0 start"]
    bad = {"start": "exit 1", "update": "exit 1"}
    for file in bad:
        package = make_package(tmp_path, f"3.{file}", program, unit=real,
                               scripts=scripts("3.0") | {file: bad[file]})
        with pytest.raises(TudorError, match="does not start; what was there before is back"):
            update.update("board", package, [])
        assert started()[-2:] == ["2.0 update", "2.0 start"]
    folder = tmp_path / "incoming"
    folder.mkdir()
    shutil.copy(make_package(tmp_path, "4.0", program, unit=real, scripts=bad),
                folder / "package.deb")
    text = module.script.read_text()
    module.cut(text.replace("comes_up() {\n", f"comes_up() {{\n{CUT}", 1), folder)
    assert str((module.state / "current").readlink()) == "versions/4.0"
    module.boot()
    assert started() == ["2.0 update", "2.0 start"]
    assert str((module.state / "current").readlink()) == "versions/2.0"
    assert module.playing() == {1: "old"}


@pytest.mark.parametrize("broken", ["exit 1", "touch {root}/hangs; exec sleep 100"])
def test_a_program_that_does_not_come_up_is_taken_back(module: Module, tmp_path: Path, broken: str
                                                       ) -> None:
    update.update("board", make_package(tmp_path, "2.0", module.wrapper.encode()), [])
    before = module.snapshot()
    bad = make_package(tmp_path, "3.0", f"#!/bin/sh\n{broken.format(root=module.root)}\n".encode())
    with pytest.raises(TudorError, match="what was there before is back"):
        update.update("board", bad, [model(tmp_path, "new.tudor")])
    after = module.snapshot()
    assert {k: v for k, v in after.items() if "3.0" not in k} == before
    assert module.playing() == {1: "old"}


def test_a_model_that_the_module_refuses_is_taken_back(module: Module, tmp_path: Path) -> None:
    before = module.snapshot()
    path = model(tmp_path, "old.tudor", seed=3)
    path.with_suffix(".map").write_text("this is no mapping\n")
    with pytest.raises(TudorError, match=r"old\.tudor is skipped: .*what was there before is back"):
        update.update("board", None, [path])
    assert module.snapshot() | {"var/lib/tudor/versions": "folder"} == before | {
        "var/lib/tudor/versions": "folder"}
    assert module.playing() == {1: "old"}


LONG = "a model with spaces, and a name of more than 31 bytes (ü).tudor"


def test_a_long_name_with_spaces_plays(module: Module, tmp_path: Path) -> None:
    update.update("board", None, [model(tmp_path, LONG)])
    assert (module.models / LONG).read_bytes() == vae(seed=1)
    assert module.playing() == {1: LONG[:31], 2: "old"}


def test_a_name_with_spaces_is_taken_back(module: Module, tmp_path: Path) -> None:
    (module.models / "my old.tudor").write_bytes(vae(seed=2))
    before = module.snapshot()
    new, old = model(tmp_path, "a new.tudor"), model(tmp_path, "my old.tudor", seed=3)
    old.with_suffix(".map").write_text("this is no mapping\n")
    with pytest.raises(TudorError, match="what was there before is back"):
        update.update("board", None, [new, old])
    assert {k: v for k, v in module.snapshot().items() if "versions" not in k} == before


def test_a_full_card_keeps_its_models(module: Module, tmp_path: Path) -> None:
    before = module.snapshot()
    module.server.fake("cp", "echo 'No space left on device' >&2; exit 1")
    with pytest.raises(TudorError, match="no space is left on the card"):
        update.update("board", None, [model(tmp_path, "old.tudor", seed=3)])
    (module.server.bin / "cp").unlink()
    assert {k: v for k, v in module.snapshot().items() if "versions" not in k} == before
    assert module.playing() == {1: "old"}


CUTS = ["note_pending", "put", "comes_up"]


@pytest.mark.parametrize("step", CUTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_at_any_step_leaves_the_old_or_the_new(module: Module, tmp_path: Path, step: str,
                                                     when: str) -> None:
    """The power goes: the script is killed where it stands, then the service starts again."""
    folder = tmp_path / "incoming"
    (folder / "models").mkdir(parents=True)
    model(folder / "models", "old.tudor", seed=3)
    model(folder / "models", "new.tudor", seed=4)
    text = module.script.read_text()
    if when == "before":
        text = text.replace(f"{step}() {{\n", f"{step}() {{\n{CUT}", 1)
    else:
        text = text.replace(f"{step}() {{\n", f"real_{step}() {{\n", 1)
        then_cut = f'{step}() {{\n  real_{step} "$@"\n{CUT}}}\n'
        text = text.replace("apply() {\n", f"{then_cut}apply() {{\n", 1)
    before = module.snapshot()
    module.cut(text, folder)
    (module.root / "run/tudor-trial").rmdir()  # in memory: gone with the power
    module.restart()
    after = {k: v for k, v in module.snapshot().items() if "versions" not in k}
    assert after == before | ({} if "var/lib/tudor/.pending" not in after else {
        "var/lib/tudor/.pending": after["var/lib/tudor/.pending"]})
    assert module.playing() == {1: "old"}


def heard() -> None:
    """Signals that whoever runs the tests ignores (nohup, a shell's &) are not ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("sign", ["HUP", "INT", "TERM"])
def test_an_update_that_is_broken_off_leaves_the_old_ones_playing(
        module: Module, tmp_path: Path, sign: str) -> None:
    """The connection ends, or somebody presses Ctrl-C, when the new ones already play."""
    folder = tmp_path / "incoming"
    (folder / "models").mkdir(parents=True)
    model(folder / "models", "new.tudor", seed=4)
    before = {k: v for k, v in module.snapshot().items() if "versions" not in k}
    text = module.script.read_text().replace("comes_up() {\n", "real_comes_up() {\n", 1)
    kills = (f'comes_up() {{\n  real_comes_up "$@" && touch {tmp_path}/played\n'
             f"  kill -{sign} $$\n}}\n")
    path = tmp_path / "broken-off"
    path.write_text(text.replace("apply() {\n", f"{kills}apply() {{\n", 1))
    done = subprocess.run(["sh", str(path), "apply", str(folder)], capture_output=True, text=True,
                          preexec_fn=heard,
                          env={"PATH": f"{module.server.bin}:/usr/bin:/bin"})
    assert (done.returncode, done.stdout) == (1, "")
    assert (tmp_path / "played").exists()
    assert {k: v for k, v in module.snapshot().items() if "versions" not in k} == before
    assert module.playing() == {1: "old"}
    assert not (module.root / "run/tudor-trial").exists()


def test_cuts_between_the_two_renames_are_mended(module: Module, tmp_path: Path) -> None:
    """By hand, the state in which no `old.tudor` is there at all."""
    module.state.mkdir(exist_ok=True)
    (module.state / "pending").write_text("model old.tudor old\nmodel new.tudor new\n")
    shutil.move(module.models / "old.tudor", module.models / ".old-old.tudor")
    (module.models / ".new-old.tudor").write_bytes(b"half")
    (module.models / "new.tudor").write_bytes(vae(seed=5))
    module.restart()
    assert [p.name for p in module.models.iterdir()] == ["old.tudor"]
    assert (module.models / "old.tudor").read_bytes() == vae()
    assert module.playing() == {1: "old"}


def test_two_updates_at_once_are_refused(module: Module, tmp_path: Path) -> None:
    (module.root / "run/tudor-trial").mkdir()
    with pytest.raises(TudorError, match="another update is under way"):
        update.update("board", None, [model(tmp_path, "new.tudor")])
    assert module.playing() == {1: "old"}
