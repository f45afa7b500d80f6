"""The demo in small: the whole walk on a short corpus and on a user's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.presets import shipped_names
from nn_tudor.demo import LOOP_PRESETS, Demo
from nn_tudor.report import _new_loops, levels, table

MARKERS = ("<audio", "spectrograms.png", "bench.png", "training.png", "spectral distance", "rtf",
           "energy score", "octaves.png", "fine.png", "texture.png")


def demo(out: Path, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nn_tudor.demo", "--out", str(out), "--minutes", "0.1",
         "--corpus-minutes", "0.4", *map(str, args)],
        capture_output=True, text=True, timeout=500, check=False,
    )


def test_the_whole_walk(tmp_path: Path):
    out = tmp_path / "demo"
    done = demo(out)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (out / "report.html").read_text().lower()
    assert all(marker in page for marker in MARKERS)
    for name in ("spectrograms.png", "training.png", "bench.png", "held_out_loop.wav"):
        assert (out / name).stat().st_size > 1000
    source, _ = soundfile.read(out / "held_out_loop.wav")
    sounds = sorted(out.glob("out_*.wav"))
    assert [path.stem for path in sounds] == ["out_onnx", "out_ts", "out_tudor"]
    reference, _ = soundfile.read(sounds[0])
    for path in sounds:
        sound, _ = soundfile.read(path)
        assert len(sound) == len(source)
        assert np.abs(sound).max() > 1e-3, "silent"
        assert np.abs(sound - reference).max() < 1e-4, "exports differ"
    results = json.loads((out / "evaluation.json").read_text())["results"]
    assert set(results) >= {"model", "untrained", "noise_2048"}
    told = done.stdout.split("how it sounds, on loops it has never heard:")[1]
    for figure in ("energy score ↓", "texture dB", "frame-rate modulation", "comb", "worst octave",
                   "held latents", "click at the start", "spectral distance"):
        assert figure in told
        assert figure.lower() in page or figure == "spectral distance"
    for name in ("octaves.png", "fine.png", "texture.png"):
        assert (out / name).stat().st_size > 1000
    assert all(r["passed"] for r in json.loads((out / "verify.json").read_text()))
    makes = set(LOOP_PRESETS) & set(shipped_names())
    assert ("new loops that nobody trained on" in page) == bool(makes)
    assert len(list(out.glob("new_loop_*.wav"))) == (3 if makes else 0)


@pytest.mark.parametrize("shipped", [["loops-tiny", "techno-tiny"], ["loops-pi", "loops-tiny"], []])
def test_it_ends_with_new_loops_of_the_first_preset_that_makes_some(
    shipped: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[object, ...]] = []

    def call(self: Demo, program: str, *words: object, keep: Path | None = None) -> None:
        called.append(words)
        tone = np.sin(np.arange(16000) * 0.1 * len(called))
        soundfile.write(words[2], 0.5 * tone, 16000)

    monkeypatch.setattr("nn_tudor.demo.shipped_names", lambda: shipped)
    monkeypatch.setattr(Demo, "call", call)
    found = Demo(tmp_path, 0.1, None, 1.0).new_loops()
    parts = "".join(_new_loops(found, tmp_path))
    if not shipped:
        assert (found, parts, called) == ([], "", [])
        return
    assert [path.name for path in found] == [f"new_loop_{seed}.wav" for seed in (1, 2, 3)]
    assert {words[1] for words in called} == {shipped[0]}
    assert len({words[words.index("--tempo") + 1] for words in called}) == 3
    assert parts.count("<audio") == 3
    assert (tmp_path / "new_loops.png").stat().st_size > 1000


def test_a_wrong_folder_is_one_line(tmp_path: Path):
    done = demo(tmp_path / "demo", "--data", tmp_path / "gone")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "not a folder" in done.stderr


def test_a_folder_of_silence_is_one_line(tmp_path: Path):
    """The step that fails has said why; nothing is added."""
    (tmp_path / "data").mkdir()
    soundfile.write(tmp_path / "data" / "silent.wav", np.zeros(16000), 16000)
    done = demo(tmp_path / "demo", "--data", tmp_path / "data")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "silent.wav: silent" in line


def test_levels_of_known_sounds():
    full = np.ones((1, 1600), np.float32)
    assert levels(full) == pytest.approx((0, 0, 0))
    half = np.concatenate((0.5 * full, 0 * full), axis=1)
    peak, rms, quiet = levels(half)
    assert (peak, rms, quiet) == pytest.approx((-6.02, -9.03, 0.5), abs=0.01)


def test_tables_escape_what_they_show():
    assert "&lt;b&gt;" in table(["a"], [["<b>"]])


PRESSED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from nn_tudor.demo import _outlast
_outlast([sys.executable, "-c", sys.argv[1]], False)
"""
# The sleep decides nothing for a parent that waits: one that does not has ended the step by then.
SAVES = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.kill(os.getppid(), signal.SIGINT)
time.sleep(1.5)
open("saved", "w").close()
"""


def test_ctrl_c_leaves_a_step_the_time_to_save(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PRESSED, SAVES], cwd=tmp_path, text=True,
                          capture_output=True, check=False, env={
                              **os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert "KeyboardInterrupt" in done.stderr
    assert (tmp_path / "saved").exists()
