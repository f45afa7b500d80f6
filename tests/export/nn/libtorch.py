"""LibTorch of a stated version and a small program linked with it, for tests of exports."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("libtorch_play.cpp")
CACHE = Path.home() / ".cache" / "tudor-tests"
# PyPI's build is for CUDA, but its part for the CPU runs with these two small libraries beside it.
WHEELS = {"2.5.1": ("torch==2.5.1", "nvidia-cuda-runtime-cu12==12.4.127",
                    "nvidia-cuda-cupti-cu12==12.4.127")}
WANTED = ("torch/include/", "torch/lib/libtorch_cpu.so", "torch/lib/libc10.so",
          "torch/lib/libgomp", "libcudart.so.12", "libcupti.so.12")


def program(version: str) -> Path:
    """The program, built once: for "installed", with the PyTorch of this environment."""
    home = Path(torch.__file__).parent
    key = f"{torch.__version__ if version == 'installed' else version}-" + hashlib.sha256(
        SOURCE.read_bytes()).hexdigest()[:12]
    built = CACHE / f"play-{key}"
    if not built.exists():
        root = home if version == "installed" else _unpacked(version) / "torch"
        _build(root, built, int(version == "installed" and torch.compiled_with_cxx11_abi()))
    return built


def _unpacked(version: str) -> Path:
    """The needed parts of the wheels, downloaded once (900 MB, of which 430 stay)."""
    folder = CACHE / f"libtorch-{version}"
    if (folder / "whole").exists():
        return folder
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d",
                    str(wheels), *WHEELS[version]], check=True)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if any(part in name for part in WANTED):
                    archive.extract(name, folder)
        wheel.unlink()
    (folder / "whole").touch()
    return folder


def _build(root: Path, target: Path, abi: int) -> None:
    libraries = sorted({f.parent for f in root.parent.rglob("*.so*")
                        if f.parent == root / "lib" or f.name.startswith(("libcud", "libcup"))})
    gomp = next((f.name for f in (root / "lib").glob("libgomp*")), None)
    half = target.with_suffix(".new")
    subprocess.run([
        "g++", "-std=c++17", "-O1", f"-D_GLIBCXX_USE_CXX11_ABI={abi}", f"-I{root}/include",
        f"-I{root}/include/torch/csrc/api/include", str(SOURCE), "-o", str(half),
        *(f"-L{folder}" for folder in libraries), "-ltorch_cpu", "-lc10",
        *([f"-l:{gomp}"] if gomp else []), "-Wl,--disable-new-dtags",
        "-Wl,-rpath," + ":".join(map(str, libraries)),
    ], check=True)
    half.replace(target)
