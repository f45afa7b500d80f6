"""`tudor generate` of models of loops: bars, tempo, code."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from engine.players.generate_file import generate_file
from engine.scores import loops
from tests.export.small_models import small_file

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_file(tmp_path_factory.mktemp("loops"), "latent_flow", "loops")


def made(model, out, **options):
    given = {"seconds": None, "seed": None, "settings": [], "conditions": None, "method": None,
             **options}
    generate_file(model, out, **given)
    return soundfile.read(out, dtype="float32")[0]


def test_bars_and_tempo_say_how_long(model, tmp_path):
    y = made(model, tmp_path / "a.wav", bars=2.0, tempo=120.0, seed=1)
    assert len(y) == 4 * RATE
    y = made(model, tmp_path / "b.wav", tempo=120.0, seed=1)
    assert len(y) == loops.DEFAULT_BARS * 2 * RATE
    assert len(made(model, tmp_path / "c.wav", seconds=1.0)) == RATE


def test_a_seed_is_a_loop_and_a_code_is_one_too(model, tmp_path):
    one, same, other = (made(model, tmp_path / f"{i}.wav", bars=1.0, seed=seed)
                        for i, seed in enumerate((1, 1, 2)))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    first, second = (made(model, tmp_path / f"c{i}.wav", bars=1.0, code=code)
                     for i, code in enumerate(("0.5,-0.5,0", "-0.5,0.5,0.9")))
    assert not np.array_equal(first, second)


def test_the_code_of_a_sound(model, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, level in (("a", 0.5), ("b", 0.05)):
        soundfile.write(tmp_path / f"{name}.wav", level * rng.uniform(-1, 1, RATE), RATE)
        made(model, tmp_path / f"of-{name}.wav", bars=1.0, code=str(tmp_path / f"{name}.wav"))
    said = [line for line in capsys.readouterr().err.splitlines() if "bars at" in line]
    assert len(said) == 2
    assert said[0] != said[1]


@pytest.mark.parametrize(("options", "said"), [
    ({"code": "0.1,0.2"}, "3 numbers of -1 to 1, got 2"),
    ({"code": "a,b,c"}, "3 numbers of -1 to 1"),
    ({"code": "0,0,2"}, "3 numbers of -1 to 1"),
    ({"bars": 1.0, "seconds": 1.0}, "two different things"),
    ({"bars": -1.0}, "--bars must lie in"),
    ({"tempo": 5.0}, "40 to 300 BPM"),
    ({"score": "bach"}, "plays no notes but loops"),
])
def test_mistakes_are_one_line_and_nothing_is_written(model, tmp_path, options, said):
    with pytest.raises(ConfigError) as raised:
        made(model, tmp_path / "x.wav", **options)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "x.wav").exists()


@pytest.mark.parametrize("options", [{"bars": 2.0}, {"code": "0,0"}])
def test_models_that_make_no_loops_say_so(tmp_path, options):
    with pytest.raises(ConfigError, match="makes no loops"):
        made("bach-daisy", tmp_path / "x.wav", **options)


def test_phase_runs_round_each_bar():
    labels = ("phase", "tempo", "density", "code 1", "code 2")
    x = loops.conditions(labels, 100, 1000, 3, 120.0, np.array([[0.1, 0.2, 0.3], [0, 0, 0]], "f4"))
    assert x.shape == (5, 60)  # 2 s a bar, a row for 0.1 s
    assert np.allclose(x[0], np.tile(np.arange(20) / 20, 3), atol=1e-6)
    assert np.allclose(x[1], np.log2(120 / 128))
    assert np.allclose(x[3], np.repeat([0.1, 0.2, 0.3], 20))
    assert not x[2].any()


def test_no_row_goes_round_too_late():
    for bpm in (90.0, 127.3, 174.0):
        x = loops.conditions(("phase", "tempo", "code 1"), 1024, 16000, 64, bpm, np.zeros(1, "f4"))
        place = np.arange(x.shape[1]) * 1024 / 16000 / (240 / bpm)
        away = np.abs(x[0] - place % 1)
        assert np.minimum(away, 1 - away).max() < 1e-5
        assert (x[0] >= 0).all()
        assert (x[0] < 1).all()
