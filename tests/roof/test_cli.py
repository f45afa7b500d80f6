"""The `tudor` command as a user types it: help, speed, errors in one line, exit codes."""

from __future__ import annotations

import functools
import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nn_tudor.cli import COMMANDS


def tudor(*args: object, check: bool = False) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "nn_tudor", *map(str, args)],
                          capture_output=True, text=True, timeout=300, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    x = 0.3 * np.sin(2 * np.pi * 220 * np.arange(16000) / 16000)
    soundfile.write(path, x, 16000)
    return path


def test_help_lists_every_command_quickly():
    times = []
    for _ in range(5):
        before = children_seconds()
        done = tudor("--help", check=True)
        times.append(children_seconds() - before)
    assert all(name in done.stdout for name in COMMANDS)
    assert min(times) < 0.5


def children_seconds() -> float:
    """Processor time of finished children: what an idle machine's clock would show."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name):
    done = tudor(name, "--help", check=True)
    assert "Example" in done.stdout
    assert f"tudor {name}" in done.stdout


def test_examples_stand_on_lines_of_their_own():
    """As written in the source, so that they can be copied; groups' commands too."""
    for name in COMMANDS:
        for words in commands_of(name):
            out = tudor(*words, "--help", check=True).stdout
            shown = [line.strip() for line in out.splitlines() if "Example: " in line]
            assert shown, words
            assert all(line.startswith("Example: tudor ") for line in shown), words
            assert all(line.count("Example: ") == 1 for line in shown), words
            for line in shown:
                assert line in written_examples(), f"cut short: {line}"


def commands_of(name: str) -> list[tuple[str, ...]]:
    """The command, or the group and each command in it."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(entry.module), entry.function)
    inner = getattr(found, "registered_commands", [])
    return [(name,), *((name, c.name or c.callback.__name__.replace("_", "-")) for c in inner)]


@functools.cache
def written_examples() -> set[str]:
    root = Path(__file__).parents[2]
    files = [f for folder in ("engine", "training", "export", "firmware", "nn_tudor")
             for f in (root / folder).rglob("*.py")]
    return {line.strip().strip('",').removesuffix("\\n") for f in files
            for line in f.read_text(encoding="utf-8").splitlines() if "Example: " in line}


def test_importing_the_roof_brings_no_torch():
    code = ("import sys, nn_tudor, nn_tudor.cli; "
            "sys.exit(any(m in sys.modules for m in ('torch', 'onnxruntime', 'lightning')))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_presets_and_info_as_json():
    rows = json.loads(tudor("presets", "--json", check=True).stdout)
    assert "techno-tiny" in [row["name"] for row in rows]
    facts = json.loads(tudor("info", "techno-tiny", "--json", check=True).stdout)
    assert facts["methods"]["encode"]["out_channels"] == facts["config"]["latents"]
    assert facts["methods"]["forward"]["macs_per_second"] > 1e6
    assert sum(op["macs_per_second"] for op in facts["operations"]) == pytest.approx(
        facts["methods"]["forward"]["macs_per_second"])


@pytest.mark.parametrize("block", [1, 100, 128, 2048, 100000])
def test_run_plays_a_file_in_any_block(tone, tmp_path, block):
    if block == 1:  # a call per sample is slow: a shorter file says as much
        soundfile.write(tone, soundfile.read(tone)[0][:1500], 16000)
    out = tmp_path / "out.wav"
    tudor("run", "techno-tiny", tone, out, "--block", block, "--align", check=True)
    got, rate = soundfile.read(out)
    whole = tmp_path / "whole.wav"
    tudor("run", "techno-tiny", tone, whole, "--align", check=True)
    assert rate == 16000
    assert len(got) == soundfile.info(tone).frames
    assert np.abs(got - soundfile.read(whole)[0]).max() <= 1e-5


def test_latents_to_a_file_and_back(tone, tmp_path):
    for suffix in (".wav", ".npy"):
        latents, back = tmp_path / f"z{suffix}", tmp_path / "back.wav"
        tudor("run", "techno-tiny", tone, latents, "--method", "encode", check=True)
        if suffix == ".npy":
            assert np.load(latents).shape == (16, 125)
        tudor("run", "techno-tiny", latents, back, "--method", "decode", check=True)
        straight = tmp_path / "straight.wav"
        tudor("run", "techno-tiny", tone, straight, check=True)
        a, b = soundfile.read(back)[0], soundfile.read(straight)[0]
        assert len(b) == 16000
        # At first the rest of the silence before, of which each method has its own, at -80 dBFS.
        assert np.abs(a[:2000] - b[:2000]).max() <= 3e-4
        assert np.abs(a[2000 : len(b)] - b[2000:]).max() <= 1e-5


def test_another_rate_and_stereo_are_converted_and_said(tmp_path):
    source, out = tmp_path / "s.wav", tmp_path / "o.wav"
    soundfile.write(source, np.random.default_rng(0).standard_normal((4410, 2)) * 0.1, 44100)
    done = tudor("run", "techno-tiny", source, out, check=True)
    assert "resampled" in done.stderr
    assert soundfile.info(out).samplerate == 16000
    assert soundfile.info(out).frames == 1600
    assert "2 channels mixed to one (--stereo plays each by itself)" in done.stderr
    done = tudor("run", "techno-tiny", source, out, "--stereo", check=True)
    assert (soundfile.info(out).channels, soundfile.info(out).frames) == (2, 1600)
    assert "mixed" not in done.stderr


def test_samples_that_are_no_numbers_are_silence_and_said(tmp_path):
    """In a file whose name is no UTF-8, and looks like markup."""
    bad, good, out = tmp_path / "a[red]\udcff.wav", tmp_path / "good.wav", tmp_path / "o.wav"
    tone = 0.1 * np.sin(np.arange(8820) / 10).astype(np.float32)
    tone[100:104] = 0
    soundfile.write(good, tone, 44100, subtype="FLOAT")
    tone[100:104] = np.nan, np.inf, -np.inf, np.nan
    soundfile.write(os.fsencode(bad), tone, 44100, subtype="FLOAT")
    done = tudor("run", "techno-tiny", bad, out, check=True)
    assert "a[red]\\xff.wav holds 4 samples that are no numbers: silence instead" in done.stderr
    tudor("run", "techno-tiny", good, tmp_path / "p.wav", check=True)
    assert (soundfile.read(out)[0] == soundfile.read(tmp_path / "p.wav")[0]).all()


@pytest.mark.parametrize(("args", "message"), [
    (("run", "techno-tinny", "{tone}", "{out}"), "did you mean 'techno-tiny'"),
    (("run", "gone.onnx", "{tone}", "{out}"), "gone.onnx does not exist"),
    (("run", "{tone}", "{tone}", "{out}"), ".ts, .onnx or .tudor"),
    (("run", "techno-tiny", "gone.wav", "{out}"), "gone.wav does not exist"),
    (("run", "techno-tiny", "{tone}", "{dir}/out.mp4"), "should end in"),
    (("run", "techno-tiny", "{tone}", "{out}", "--method", "sing"), "no method 'sing'"),
    (("run", "techno-tiny", "{tone}", "{out}", "--set", "temprature=1"), "'temperature'"),
    (("run", "techno-tiny", "{tone}", "{out}", "--set", "temperature=hot"), "not a number"),
    (("run", "techno-tiny", "{tone}", "{out}", "--set", "temperature=99"), "ranges over"),
    (("run", "techno-tiny", "{tone}", "{out}", "--method", "decode"), "16 latents"),
    (("run", "techno-tiny", "{tone}", "{out}", "--stereo", "--method", "encode"), "not encode"),
    (("run", "techno-tiny", "{tone}", "{out}", "--align", "--method", "encode"), "leave --align"),
    (("info", "nothing-here"), "no model file, run directory or preset"),
])
def test_mistakes_are_one_line(args, message, tone, tmp_path):
    before = set(tmp_path.iterdir())
    filled = [a.format(tone=tone, out=tmp_path / "out.wav", dir=tmp_path) for a in args]
    done = tudor(*filled)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert set(tmp_path.iterdir()) == before, "a failed command left files behind"


@pytest.mark.parametrize("args", [("sing",), ("run",), ("run", "a", "b", "c", "--blok", "3"),
                                  ("run", "a", "b", "c", "--block", "0"),
                                  ("run", "a", "b", "c", "--block", "many")])
def test_usage_errors_exit_with_2(args):
    done = tudor(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
