"""The oldest and the newest Python that are promised: an installation of each plays, with the same
bits as this one. What is promised is read from the classifiers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

from engine.audio import read_audio, write_audio
from nn_tudor.cli import main

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLASSIFIER = "Programming Language :: Python :: 3."
PROMISED = sorted(int(line.removeprefix(CLASSIFIER)) for line in PROJECT["classifiers"]
                  if line.startswith(CLASSIFIER))


def test_the_promised_versions_are_those_of_the_readme() -> None:
    assert PROJECT["requires-python"] == f">=3.{PROMISED[0]}"
    assert list(range(PROMISED[0], PROMISED[-1] + 1)) == PROMISED
    names = [f"3.{minor}" for minor in PROMISED]
    said = re.search(r"tested on Python (.*?)\)", (ROOT / "README.md").read_text())
    assert said is not None
    assert re.findall(r"3\.\d+", said[1]) == names


def interpreter(minor: int) -> Path:
    """A Python of this version, from the PATH or from pyenv."""
    made = sorted((Path.home() / ".pyenv/versions").glob(f"3.{minor}.*/bin/python3.{minor}"))
    found = shutil.which(f"python3.{minor}")
    for path in [*made, *([Path(found)] if found else [])]:
        works = subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True)
        if works.returncode == 0:  # pyenv's stand-ins in the PATH may point nowhere
            return path
    pytest.skip(f"there is no Python 3.{minor} here, by PATH or pyenv")


@pytest.mark.slow
@pytest.mark.parametrize("minor", [PROMISED[0], PROMISED[-1]])
def test_it_plays_on_the_oldest_and_the_newest(minor: int, tmp_path: Path) -> None:
    venv, source = tmp_path / "venv", tmp_path / "source"
    subprocess.run([interpreter(minor), "-m", "venv", venv], check=True)
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", "__pycache__", "demo", "runs", "*.so"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def call(*words: object) -> str:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              cwd=tmp_path, env=environment)
        assert done.returncode == 0, (words, done.stderr[-3000:])
        return done.stdout

    call(venv / "bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", source)
    assert f"3.{minor}" in call(venv / "bin/python", "-V")
    call(venv / "bin/python", "-W", "error", "-m", "compileall", "-q", "-f",
         *(source / name for name in ("engine", "training", "export", "firmware", "benchmarks",
                                      "nn_tudor")))
    sound = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32) * 0.2
    write_audio(tmp_path / "in.wav", sound, 16000)
    call(venv / "bin/tudor", "run", "techno-tiny", tmp_path / "in.wav", tmp_path / "other.wav")
    assert "techno-tiny" in call(venv / "bin/tudor", "presets")
    assert "techno-tiny" in call(venv / "bin/rtf-bench", "techno-tiny", "--seconds", "0.1",
                                 "--warmup", "0", "--no-cold")
    with pytest.raises(SystemExit) as ended:
        main(["run", "techno-tiny", str(tmp_path / "in.wav"), str(tmp_path / "own.wav")])
    assert ended.value.code in (0, None)
    got, wanted = (read_audio(tmp_path / name)[0] for name in ("other.wav", "own.wav"))
    assert np.abs(wanted).max() > 1e-3
    assert np.array_equal(got, wanted)
