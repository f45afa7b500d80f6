"""The independent generator: repeatable, varied, and unlike the corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.quality import other_loops
from benchmarks.quality.other_loops import STYLES, render
from training.corpus.techno import render_loop
from training.evaluation.descriptors import descriptor_mmd, points


def test_loops_are_repeatable_and_sound() -> None:
    for index in range(10):
        audio, style, bpm = render(3, index)
        again, _, _ = render(3, index)
        assert np.array_equal(audio, again)
        assert style in STYLES
        assert 70 <= bpm <= 180
        assert np.isfinite(audio).all()
        assert 0.4 < float(np.abs(audio).max()) < 1
        assert float(np.sqrt(np.square(audio).mean())) > 0.01
    assert not np.array_equal(render(4, 0)[0][:8000], render(3, 0)[0][:8000])


def test_they_are_no_techno_of_the_corpus() -> None:
    other = np.concatenate([points(render(0, i)[0][None], 16000) for i in range(10)])
    more = np.concatenate([points(render(1, i)[0][None], 16000) for i in range(10)])
    corpus = np.concatenate([points(render_loop(0, i)[0], 16000) for i in range(4)])
    assert descriptor_mmd(other, corpus) > 3 * abs(descriptor_mmd(other, more)) + 0.05


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", other_loops.__name__, str(tmp_path / "loops"), "--minutes",
               "0.1"]
    assert "loops in" in subprocess.run(command, capture_output=True, text=True,
                                        check=True).stdout
    assert len(list((tmp_path / "loops").glob("*.wav"))) >= 1
    assert "training.corpus" not in Path(other_loops.__file__).read_text().split('"""', 2)[2]
