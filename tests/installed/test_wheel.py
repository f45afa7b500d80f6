"""What is installed works by itself: nothing of the tree is in reach, in a Python with few packages
and in one with all."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from installation import ROOT, Environment, copied, own_files

from scripts.preset_measure import loop_names

MOST_BYTES = 26_500_000  # of which four presets of loops take nine, two voices of a gate two
EXTENSION = "engine/_native.abi3.so"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as an installer lays them down, with the C runtime that is built already."""
    source = copied(tmp_path_factory.mktemp("source"))
    out = source / "out"
    subprocess.run([sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(out)],
                   cwd=source, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copied(tmp_path_factory.mktemp("wheel"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps",
                    "-w", str(source), "."], cwd=source, check=True)
    return next(source.glob("*.whl"))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_all_files_of_the_packages_are_installed(library: Path) -> None:
    assert files(library) == own_files()
    assert {"firmware/daisy/memories.lds", "firmware/daisy/Makefile"} <= files(library)
    # Float32 weights of 8 significant bits, as most presets have, pack into a third of their bytes.
    assert sum((library / name).stat().st_size for name in files(library)) < 1.4 * MOST_BYTES


def bare(library: Path, folder: Path) -> Environment:
    return filled(Environment(folder / "bare", everything=False), library)


def filled(environment: Environment, library: Path) -> Environment:
    shutil.copytree(library, environment.site, dirs_exist_ok=True)
    for built in (ROOT / "engine").glob("_native*.so"):
        shutil.copy(built, environment.site / "engine")
    return environment


def sound(folder: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(16000) * np.exp(-np.arange(16000) / 4000)
    (folder / "loops").mkdir()
    for name in ("in.wav", "loops/a.wav", "loops/b.wav"):
        soundfile.write(folder / name, 0.1 * noise, 16000)


def plays_without_pytorch(environment: Environment, folder: Path) -> None:
    """A command of each group that needs no more than what is always installed."""
    sound(folder)
    model = environment.site / "engine" / "presets" / "techno-tiny.tudor"
    for program, *arguments in (
        ("tudor", "presets"),
        ("tudor", "info", "techno-pi"),
        ("tudor", "run", "techno-tiny", "in.wav", "out.wav"),
        ("tudor", "fit", "techno-tiny", "--target", "daisy"),
        ("tudor", "flash", "daisy", "--model", "techno-daisy", "--dry-run"),
        *(("tudor", "generate", name, f"{name}.wav", "--bars", "1") for name in loop_names()),
        ("rtf-bench", str(model), "--block", "512", "--seconds", "0.1", "--warmup", "0",
         "--no-cold"),
    ):
        done = environment.run(folder, program, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    assert len(soundfile.read(folder / "out.wav")[0]) == 16000
    assert all(np.abs(soundfile.read(folder / f"{name}.wav")[0]).max() > 1e-3
               for name in loop_names()), "put together from what is installed"
    lacking = environment.run(folder, "tudor", "train", "techno-tiny", "--data", "loops", "--out",
                              "run")
    assert lacking.returncode == 1
    assert "pip install 'nn-tudor[" in lacking.stderr
    assert "Traceback" not in lacking.stderr


def trains_and_exports(environment: Environment, folder: Path) -> None:
    """A command of each group that needs an extra, or compilers."""
    sound(folder)
    model = environment.site / "engine" / "presets" / "techno-tiny.tudor"
    for program, *arguments in (
        ("tudor", "corpus", "techno", "corpus", "--minutes", "0.05", "--seed", "1"),
        ("tudor", "evaluate", "techno-tiny", "--data", "loops"),
        ("tudor", "train", "techno-tiny", "--data", "loops", "--out", "run", "--steps", "1"),
        ("tudor", "export", "techno-tiny", "--to", "onnx", "--out", "m.onnx"),
        ("tudor", "export", "techno-tiny", "--to", "native", "--out", "m.tudor"),
        ("tudor", "verify", "m.tudor", "m.onnx", "--against", "techno-tiny"),
        ("tudor", "module", "simulate", str(model), "--board", "daisy", "--in", "in.wav", "--out",
         "played.wav"),
        ("tudor", "flash", "daisy", "--model", str(model), "--dry-run"),
    ):
        done = environment.run(folder, program, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


def test_an_installation_plays_without_pytorch(library: Path, tmp_path: Path) -> None:
    plays_without_pytorch(bare(library, tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_is_for_every_python_and_complete(wheel: Path, tmp_path: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    assert wheel.stat().st_size < MOST_BYTES
    environments = {name: Environment(tmp_path / name, everything=name == "full")
                    for name in ("bare", "full")}
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert names == own_files() | {EXTENSION}
        for environment in environments.values():
            packed.extractall(environment.site)
    for name, work in (("bare", plays_without_pytorch), ("full", trains_and_exports)):
        (tmp_path / f"in_{name}").mkdir()
        work(environments[name], tmp_path / f"in_{name}")
