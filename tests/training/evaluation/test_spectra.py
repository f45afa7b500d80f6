"""Our spectra, onsets and descriptors say what librosa says, without numba and its cache on disk,
which two processes that begin together can spoil for all that come after."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from engine.hearing.frames import a_weighting
from tests.training.evaluation.librosa_reference import FILE, MEL_STEP, RATES_HZ, hops, loops
from training.evaluation.descriptors import NAMES, QUIET_DB, curves
from training.evaluation.measures import log_mel, loudness_db
from training.evaluation.onsets import onset_strength, onsets, peaks
from training.evaluation.spectra import mel_bands

ROOT = Path(__file__).parents[3]
COLD = """
import sys
import numpy as np
from training.evaluation.descriptors import curves
from training.evaluation.onsets import onsets
hit = np.zeros((1, 16000), np.float32)
hit[0, 4000:4400] = np.random.default_rng(0).uniform(-0.5, 0.5, 400)
assert len(onsets(hit, 16000)) == 1
assert curves(hit, 16000, 256).shape == (7, 62)
if len(sys.argv) > 1:
    from nn_tudor.cli import main
    evaluated = sys.argv[1:]
    sys.argv = ["tudor", "evaluate", *evaluated, "--json"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print("compiled by", sorted({name.split(".")[0] for name in sys.modules} & {"numba", "llvmlite"}))
"""


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_as_librosa_says(rate_hz: int) -> None:
    onset_hop, hop = hops(rate_hz)
    with np.load(FILE) as reference:
        for style, audio in loops(rate_hz).items():
            wanted = {name: reference[f"{style}-{rate_hz}-{name}"]
                      for name in ("onsets", "mel", "loudness", *NAMES)}
            found = onsets(audio, rate_hz) * rate_hz / onset_hop
            assert len(wanted["onsets"]) >= 3
            assert np.round(found).tolist() == wanted["onsets"].tolist(), style
            mel = log_mel(audio, rate_hz)[0, :, ::MEL_STEP]
            assert mel.shape == wanted["mel"].shape
            assert np.abs(mel - wanted["mel"]).max() < 1e-4
            assert np.abs(loudness_db(audio, rate_hz) - wanted["loudness"]).max() < 1e-5
            rows = dict(zip(NAMES, curves(audio, rate_hz, hop), strict=True))
            wanted["rms"] = 20 * np.log10(np.maximum(wanted["rms"] / np.sqrt(3 / 8), 1e-6))
            loud = rows["rms"] > QUIET_DB
            assert loud.sum() > len(loud) // 4
            near = {"contrast": 1e-3, "flatness": 1e-3, "rms": 1e-3}  # dB; the others in parts
            for name, row in rows.items():
                other = wanted[name][: len(row)]
                error = np.abs(row - other)[loud] / (1 if name in near else other[loud])
                assert error.max() < near.get(name, 1e-4), (style, name)


def test_mel_bands_and_the_ear_by_their_definition() -> None:
    bands = mel_bands(2048, 16000, 128)
    hertz = 16000 / 2048
    assert bands.shape == (128, 1025)
    assert np.abs(bands[40:].sum(axis=1) * hertz - 1).max() < 0.02  # area 1 where bins are many
    table = {10: -70.4, 100: -19.1, 1000: 0.0, 10000: -2.5}  # IEC 61672-1, table 3
    for at, gain_db in table.items():
        assert 20 * np.log10(a_weighting(np.array(float(at)))) == pytest.approx(gain_db, abs=0.06)
    assert a_weighting(np.zeros(1)) == 0


def test_peaks_wait_and_stand_out() -> None:
    curve = np.zeros(100, np.float32)
    curve[[10, 12, 30, 60]] = 1, 0.9, 0.5, 0.02
    assert peaks(curve, 16000, 160).tolist() == [10, 30]
    assert peaks(np.ones(50, np.float32), 16000, 160).tolist() == []
    assert onsets(np.zeros((2, 16000), np.float32), 16000).tolist() == []
    assert len(onset_strength(np.ones(5, np.float32), 16000, 160)) == 1


def cold_start(folder: Path, *evaluated: str) -> subprocess.Popen[str]:
    """A process that finds its caches empty."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "XDG_CACHE_HOME": str(folder),
                   "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", COLD, *evaluated], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder)


def all_end_well(running: list[subprocess.Popen[str]], folder: Path) -> None:
    for process in running:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert "compiled by []" in said
    assert list(folder.rglob("*.nb[ci]")) == []


def test_four_processes_begin_at_once_with_cold_caches(tmp_path: Path) -> None:
    all_end_well([cold_start(tmp_path) for _ in range(4)], tmp_path)


@pytest.mark.slow
def test_four_evaluations_begin_at_once_ten_times(tmp_path: Path) -> None:
    from training.corpus.kinds import write_corpus

    write_corpus("techno", tmp_path / "loops", 0.1, 0, 16000)
    for turn in range(10):
        folder = tmp_path / str(turn)
        folder.mkdir()
        evaluated = ("techno-tiny", "--data", str(tmp_path / "loops"))
        all_end_well([cold_start(folder, *evaluated) for _ in range(4)], folder)


def test_nothing_asks_for_a_compiler_of_python() -> None:
    for path in (path for name in ("engine", "training", "export", "firmware", "benchmarks",
                                   "nn_tudor") for path in (ROOT / name).rglob("*.py")):
        assert not re.search(r"^\s*(import|from) (librosa|numba)\b", path.read_text("utf-8"),
                             re.MULTILINE), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [line for lines in (project["dependencies"], *extras)
              for line in lines]
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    for line in (*wanted, *pinned):
        assert not re.match(r"librosa|numba|llvmlite", line), line
