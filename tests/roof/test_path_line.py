"""`tudor path line`: from one loop to another, with a picture and figures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from engine.players.base import load
from engine.players.loop_file import code_at
from engine.scores import loops
from nn_tudor import cli
from tests.export.small_models import small_file
from training.evaluation.loop_paths import curve_figures
from training.evaluation.loop_walk import (
    FADE,
    FIRST,
    LAST,
    LATENTS,
    WALK,
    ends_of,
    figures_of,
    latent_methods,
    measured,
    rows_of,
    sounds_of,
)

RATE = 16000
CODES = np.array([0.5, -0.5, 0.0], np.float32), np.array([-0.5, 0.25, 0.75], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_file(tmp_path_factory.mktemp("loops"), "latent_flow", "loops")


def path(*args):
    """The command in this process: exit code, what it printed, what it complained of."""
    done = CliRunner().invoke(cli._one("path"), ["line", *map(str, args)])
    return done.exit_code, done.stdout, done.stderr + str(done.exception or "")


def test_the_way_begins_at_one_code_and_ends_at_the_other(model):
    player = load(model)
    spec = player.methods["play"]
    rows = rows_of(player, spec, CODES, 4, 120.0, {spec.input_labels.index("brightness"): 1.5})
    walk, at = rows[WALK], loops.code_places(spec.input_labels)
    code = walk[at.start : at.stop]
    assert np.array_equal(code[:, 0], CODES[0])
    assert np.allclose(code[:, -1], CODES[1], atol=1e-6)
    assert np.allclose(np.diff(code, n=2, axis=1), 0, atol=1e-6)
    others = [i for i in range(len(walk)) if i not in at]
    assert np.array_equal(walk[others], rows[FIRST][others])
    assert np.ptp(walk[spec.input_labels.index("phase")]) > 0.9
    assert (walk[spec.input_labels.index("brightness")] == 1.5).all()


def test_all_ways_are_played(model):
    player = load(model)
    spec = player.methods["play"]
    rows = rows_of(player, spec, CODES, 4, 120.0, {})
    samples, told = 8 * RATE, []
    sounds = sounds_of(player, spec, rows, samples, lambda name, share: told.append(share))
    assert set(sounds) == {WALK, FIRST, LAST, FADE, LATENTS}
    assert {y.shape for y in sounds.values()} == {(1, samples)}
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.8 < told[-1] < 1
    half = samples // 2
    middle = (sounds[FIRST][:, half] + sounds[LAST][:, half]) / 2
    assert sounds[FADE][:, half] == pytest.approx(middle, abs=1e-4)
    assert np.array_equal(sounds[FADE][:, 0], sounds[FIRST][:, 0])
    names = list(sounds)
    assert not any(np.array_equal(sounds[a], sounds[b])
                   for i, a in enumerate(names) for b in names[:i])
    player.reset()
    again = player.process("play", rows[WALK])[:, :samples]
    assert np.array_equal(again, sounds[WALK])


def test_a_line_between_latents_is_decoded(model):
    player = load(model)
    spec = player.methods["play"]
    assert [m.name for m in latent_methods(player, spec) or ()] == ["generate", "decode"]
    rows = rows_of(player, spec, (CODES[0], CODES[0]), 4, 120.0, {})
    sounds = sounds_of(player, spec, rows, 8 * RATE)
    # Between a loop and itself there is one loop alone.
    assert np.allclose(sounds[LATENTS], sounds[FIRST], atol=1e-5)
    assert np.allclose(sounds[WALK], sounds[FIRST], atol=1e-5)


def test_figures_are_those_of_the_curves():
    tones = {name: 0.1 * (i + 1) * np.sin(np.arange(8 * RATE) * 0.1)[None].astype(np.float32)
             for i, name in enumerate((WALK, FIRST, LAST))}
    tones[WALK] = tones[WALK] * np.linspace(2, 3, 8 * RATE, dtype=np.float32)
    curves = measured(tones, 4, 120.0, RATE)
    assert curves[WALK].shape == (3, 4)
    level = 20 * np.log10(np.array([0.2, 0.3]) / np.sqrt(2))
    assert np.allclose(ends_of(curves)[0], level, atol=0.05)
    found = figures_of(curves)
    json.dumps(found, allow_nan=False)
    assert found["ways"][WALK]["level_db"]["smoothness"] == curve_figures(
        curves[WALK][0])["smoothness"] == pytest.approx(1)
    assert found["ends"]["level_db"] == pytest.approx(list(level), abs=0.05)


def test_the_command_writes_sound_and_picture(model, tmp_path):
    out = tmp_path / "way.wav"
    code, text, errors = path(model, "-0.5,0.5,0", "7", "-o", out, "--bars", 4, "--tempo", 120,
                              "--json")
    assert code == 0, errors
    found = json.loads(text)
    sound, rate = soundfile.read(out)
    assert (rate, len(sound)) == (RATE, 8 * RATE)
    assert found["files"] == [str(out), str(out.with_suffix(".png"))]
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert found["codes"][0] == [-0.5, 0.5, 0]
    assert np.allclose(found["codes"][1], loops.made_up_code(3, 7), atol=1e-6)
    assert set(found["ways"]) == {WALK, FADE, LATENTS, FIRST, LAST}
    assert len(found["ways"][WALK]["centroid_octaves"]["bars"]) == 4
    code, text, errors = path(model, "1", "7", "-o", tmp_path / "b.wav", "--bars", 4, "--plot",
                              tmp_path / "own.png", "--seed", 3)
    assert code == 0, errors
    assert WALK in " ".join(text.split())
    assert "wrote" in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.wav", "own.png", "way.png", "way.wav"]


def test_an_end_may_be_a_file_of_numbers_or_a_sound(model, tmp_path):
    player, console = load(model), Console(quiet=True)
    spec = player.methods["play"]
    (tmp_path / "a.txt").write_text("0.5 -0.5\n0\n")
    (tmp_path / "a.csv").write_text("0.5,-0.5,0\n")
    np.save(tmp_path / "a.npy", CODES[0][:, None])
    for name in ("a.txt", "a.csv", "a.npy"):
        found = code_at(player, spec, str(tmp_path / name), name, console)
        assert np.array_equal(found, CODES[0]), name
    rng = np.random.default_rng(0)
    for name, level in (("loud.wav", 0.5), ("quiet.wav", 0.05)):
        soundfile.write(tmp_path / name, level * rng.uniform(-1, 1, RATE), RATE)
    heard = [code_at(player, spec, str(tmp_path / name), name, console)
             for name in ("loud.wav", "quiet.wav")]
    assert heard[0].shape == (3,)
    assert not np.allclose(heard[0], heard[1])


@pytest.mark.parametrize(("ends", "more", "said"), [
    (("0.1,0.2", "1"), (), "A = 0.1,0.2: this model's code is 3 numbers of -1 to 1, got 2"),
    (("1", "0,0,-2"), (), "B = 0,0,-2: 3 numbers of -1 to 1, got -2"),
    (("1", "0,nan,0.5"), (), "B = 0,nan,0.5: 3 numbers of -1 to 1, got nan"),
    (("gone.wav", "1"), (), "A = gone.wav: there is no such file"),
    (("loud", "1"), (), "A = loud: 3 numbers of -1 to 1 with commas between them, or a sound"),
    (("{dir}/bad.txt", "1"), (), "3 numbers of -1 to 1 with commas between them"),
    (("{dir}/bad.npy", "1"), (), "no array of numbers"),
    (("1", "2"), ("--tempo", 5), "40 to 300 BPM"),
    (("1", "2"), ("--plot", "x.jpg"), "ends in .png"),
    (("1", "2"), ("--set", "lodness=1"), "no attribute or condition 'lodness'"),
])
def test_mistakes_are_one_line_and_nothing_is_written(model, tmp_path, ends, more, said):
    (tmp_path / "bad.txt").write_text("half of it")
    (tmp_path / "bad.npy").write_text("half of it")
    before = sorted(tmp_path.iterdir())
    code, _, errors = path(model, *(end.format(dir=tmp_path) for end in ends), "-o",
                           tmp_path / "x.wav", "--bars", 4, *more)
    assert code == 1
    assert said in errors
    assert len(errors.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_models_that_make_no_loops_say_so(tmp_path):
    code, _, errors = path("bach-daisy", "1", "2", "-o", tmp_path / "x.wav")
    assert code == 1
    assert "makes no loops from a code" in errors


@pytest.mark.parametrize("args", [("1", "2", "-o", "x.wav", "--bars", "3"),
                                  ("1", "2", "-o", "x.wav", "--bar", "8"), ("1", "2")])
def test_usage_errors_exit_with_2(model, args):
    assert path(model, *args)[0] == 2
