"""The hosts of examples/: each plays a sound file, and all of them play the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.core.core_build import CORE, core_sources, need, run

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SAMPLES = 5000  # no multiple of any block
SETTING = "temperature=0.25"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound, and techno-tiny as the two files."""
    from engine.models.store import load_model
    from export.targets import check, export_model

    folder = tmp_path_factory.mktemp("hosts")
    rng = np.random.default_rng(0)
    tone = 0.4 * np.sin(np.arange(SAMPLES) * 0.2) + 0.1 * rng.standard_normal(SAMPLES)
    soundfile.write(folder / "in.wav", tone, 16000, subtype="PCM_16")
    model = load_model("techno-tiny")
    for target, name in (("onnx", "m.onnx"), ("native", "m.tudor")):
        export_model(model, check(target, folder / name), folder / name)
    return folder


@pytest.fixture(scope="module")
def wanted(work: Path) -> np.ndarray:
    """What the native player makes of the sound in one go."""
    import nn_tudor

    player = nn_tudor.load(work / "m.tudor")
    player.set("temperature", [0.25])
    x, _ = soundfile.read(work / "in.wav", dtype="float32")
    return player.process("forward", np.pad(x, (0, -SAMPLES % 512))[None])[0, :SAMPLES]


def heard(path: Path) -> np.ndarray:
    y, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 16000
    assert y.shape == (SAMPLES,)
    assert np.abs(y).max() > 0.05
    return y


@pytest.fixture(scope="module")
def c_host(work: Path) -> Path:
    program = work / "c_host"
    run(need("gcc"), "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror",
        "-DTUDOR_ONLY_SCALAR", f"-I{CORE}", EXAMPLES / "c_host.c",
        *(path for path in core_sources() if "avx" not in path.name), "-o", program)
    return program


def test_each_host_is_short() -> None:
    files = [path for path in EXAMPLES.iterdir() if path.suffix in (".c", ".py")]
    assert len(files) == 3
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 150, path.name


def test_the_c_host_plays_the_player_s_bits(work: Path, c_host: Path, wanted: np.ndarray) -> None:
    shown = run(c_host, work / "m.tudor", work / "in.wav", work / "c.wav", SETTING)
    assert f"{SAMPLES} samples" in shown
    assert np.array_equal(heard(work / "c.wav").view(np.uint32), wanted.view(np.uint32))


def test_the_c_host_names_what_it_cannot_take(work: Path, c_host: Path) -> None:
    x, _ = soundfile.read(work / "in.wav")
    soundfile.write(work / "stereo.wav", np.stack((x, x), 1), 16000)
    soundfile.write(work / "rate.wav", x, 44100)
    cut = work / "cut.wav"
    cut.write_bytes((work / "in.wav").read_bytes()[:30])
    for source, said in (("stereo.wav", "channels"), ("rate.wav", "sample rate"),
                         ("cut.wav", "no sound"), ("m.tudor", "not a WAV"), ("none", "opened")):
        done = subprocess.run([c_host, work / "m.tudor", work / source, work / "x.wav"],
                              capture_output=True, text=True)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (work / "x.wav").exists()


def test_the_python_host_plays_the_same(work: Path, wanted: np.ndarray) -> None:
    shown = run(sys.executable, EXAMPLES / "python_host.py", work / "m.tudor", work / "in.wav",
                work / "p.wav", SETTING)
    from nn_tudor import Host, load

    host = Host(load(work / "m.tudor"), block=480)
    late = host.added_latency_samples
    assert late > 0
    assert shown.strip().endswith(f"late by {host.latency_samples}")
    got = heard(work / "p.wav")
    assert np.array_equal(got[late:].view(np.uint32), wanted[:-late].view(np.uint32))


def test_the_onnx_host_plays_the_same_without_tudor(work: Path, wanted: np.ndarray) -> None:
    barred = ("engine", "nn_tudor", "export", "training", "torch", "onnx", "soundfile")
    code = (f"import runpy, sys; sys.modules.update(dict.fromkeys({barred}));"
            "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
    shown = run(sys.executable, "-c", code, EXAMPLES / "onnx_host.py", work / "m.onnx",
                work / "in.wav", work / "o.wav", SETTING)
    assert f"{SAMPLES} samples" in shown
    assert np.abs(heard(work / "o.wav") - wanted).max() < 1 / 32768 + 1e-4
