"""`tudor path`: paths of every kind, their sound, and mistakes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import tomli_w
from typer.testing import CliRunner

from engine.files import CONFIG_FILE, WEIGHTS_FILE
from engine.models.store import save_weights
from engine.scores.paths import read_path
from nn_tudor import cli
from tests.export.small_models import SMALL, small_model

RUNS = {"coder": ("raw_vae", "mono"), "drums": ("spectrogram_gan", "drums"),
        "loops": ("latent_flow", "loops")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run directories of small models, as training leaves them."""
    folder = tmp_path_factory.mktemp("runs")
    for run, (family, name) in RUNS.items():
        (folder / run).mkdir()
        settings = {"model": {"family": family, **SMALL[family][name]}}
        (folder / run / CONFIG_FILE).write_text(tomli_w.dumps(settings))
        save_weights(small_model(family, name), folder / run / WEIGHTS_FILE)
    rng = np.random.default_rng(0)
    (folder / "notes").mkdir()
    for instrument in ("Vn-ord", "Vc-pizz"):
        for pitch in ("A4", "C#4"):
            soundfile.write(folder / "notes" / f"{instrument}-{pitch}-mf.wav",
                            0.3 * rng.standard_normal(4000), 16000)
    soundfile.write(folder / "notes" / "other.wav", 0.3 * rng.standard_normal(4000), 16000)
    return folder


def tudor(command, *args):
    """The command in this process: exit code, what it printed, what it complained of."""
    done = CliRunner().invoke(cli._one(command), list(map(str, args)))
    return done.exit_code, done.stdout, done.stderr + str(done.exception or "")


def made(runs, tmp_path, kind, run, *args):
    out = tmp_path / f"{kind}.path"
    code, _, errors = tudor("path", kind, runs / run, *args, "-o", out)
    assert code == 0, errors
    assert "wrote" in errors
    return read_path(out)


@pytest.mark.parametrize(("kind", "run", "args", "knots"), [
    ("traversal", "coder", ("--number", 2), 2),
    ("traversal", "drums", ("-0.5,1,0", "--low", -1, "--high", 1, "--points", 5), 5),
    ("line", "coder", (1, "0.5,-0.5,1,0", "mean"), 3),
    ("sphere", "drums", (1, 2, "--points", 5), 5),
    ("sphere", "loops", (1, 2), 17),
    ("walk", "loops", (3, "--points", 7), 7),
    ("circle", "coder", ("--points", 9, "--radius", 1), 9),
    ("circle", "drums", ("1", "--plane", "pca", "--set", "a=1"), 33),
    ("spiral", "coder", ("--plane", "descriptors", "--pitch", 0.2), 97),
    ("geodesic", "coder", (1, 2, 3, "--points", 4, "--steps", 2), 7),
    ("geodesic", "drums", (1, 2, "--points", 4, "--steps", 2, "--set", "b=1"), 4),
])
def test_paths_of_every_kind(runs, tmp_path, kind, run, args, knots):
    path = made(runs, tmp_path, kind, run, *args)
    assert (path.kind, path.model, len(path.knots)) == (kind, run, knots)
    assert np.isfinite(path.knots).all()
    if run == "drums":
        assert path.held["temperature"] == 0


def test_ends_are_what_was_said(runs, tmp_path):
    path = made(runs, tmp_path, "line", "drums", "-0.5,1,0", "0,0,2", "--seed", 4, "--set", "a=0.5")
    assert path.knots.tolist() == [[-0.5, 1, 0], [0, 0, 2]]
    assert (path.seed, dict(path.held)) == (4, {"a": 0.5, "temperature": 0.0})
    assert path.labels == ("z 1", "z 2", "z 3")
    sound = runs / "notes" / "other.wav"
    heard = made(runs, tmp_path, "line", "coder", sound, "mean")
    assert heard.knots.shape == (2, 4)
    assert np.abs(heard.knots[0]).max() > 0.01


@pytest.mark.parametrize(("run", "args", "seconds"), [
    ("coder", ("--seconds", 0.6), 0.6), ("drums", ("--seconds", 0.8), 0.8),
    ("loops", ("--bars", 0.125, "--tempo", 120), 0.25)])
def test_a_path_is_played(runs, tmp_path, run, args, seconds):
    made(runs, tmp_path, "line", run, 1, 2)
    out = tmp_path / "x.wav"
    code, text, errors = tudor("path", "play", runs / run, tmp_path / "line.path", out, *args,
                               "--json", "--backend", "pytorch")
    assert code == 0, errors
    sound, rate = soundfile.read(out)
    assert len(sound) == round(seconds * rate)
    assert np.abs(sound).max() > 1e-4
    found = json.loads(text)
    assert found["files"] == [str(out), str(tmp_path / "x.png")]
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    assert found["descriptors"]["rms"]["high"] > -100
    if run != "coder":
        return
    first, last = (tmp_path / name for name in ("a.wav", "b.wav"))
    for place, file in (("1", first), ("2", last)):  # held still: the ends
        made(runs, tmp_path, "line", run, place, place)
        assert tudor("path", "play", runs / run, tmp_path / "line.path", file, *args, "--backend",
                     "pytorch")[0] == 0
    ends = [soundfile.read(file)[0] for file in (first, last)]
    begins, ended = slice(0, len(sound) // 20), slice(-len(sound) // 20, None)
    near = [np.abs(sound[part] - ends[i][part]).mean() for i, part in ((0, begins), (1, ended))]
    far = [np.abs(sound[part] - ends[i][part]).mean() for i, part in ((1, begins), (0, ended))]
    assert near[0] < far[0]
    assert near[1] < far[1]


def test_generate_goes_along_a_path(runs, tmp_path):
    made(runs, tmp_path, "line", "drums", 1, 2, "--set", "a=1")
    file, out = tmp_path / "line.path", tmp_path / "x.wav"
    code, _, errors = tudor("generate", runs / "drums", out, "--path", file, "--seconds", 1,
                            "--backend", "pytorch")
    assert code == 0, errors
    moved = soundfile.read(out)[0]
    assert len(moved) == 8000
    assert tudor("generate", runs / "drums", out, "--seconds", 1, "--set", "a=1", "--set",
                 "temperature=0", "--backend", "pytorch")[0] == 0
    assert not np.array_equal(moved, soundfile.read(out)[0])
    for more, said in ((("--score", "bach"), "--path and --score say two"),
                       (("--bars", 2), "--bars and --tempo are of loops")):
        code, _, errors = tudor("generate", runs / "drums", out, "--path", file, *more,
                                "--backend", "pytorch")
        assert code == 1
        assert said in errors


def test_geodesics_are_compared(runs):
    code, text, errors = tudor("path", "compare", runs / "coder", "--pairs", 2, "--points", 4,
                               "--steps", 2, "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert len(found["pairs"]) == 2
    assert set(found["met"]) == {"energy", "over_even_line", "speed_variation", "smooth_share"}
    assert found["over_even_line"] <= 1
    code, text, _ = tudor("path", "compare", runs / "coder", "--pairs", 1, "--points", 4,
                          "--steps", 1)
    assert code == 0
    assert "arc-length line" in text
    assert "goals" in text


def test_a_mapping_is_written(runs, tmp_path):
    made(runs, tmp_path, "line", "coder", 1, 2)
    code, _, errors = tudor("path", "map", runs / "coder", tmp_path / "line.path", "-o",
                            tmp_path / "x.map", "--input", "cv2")
    assert code == 0, errors
    assert "of 96 lines" in errors
    assert "\ncv2 latent 4 " in (tmp_path / "x.map").read_text()


def test_notes_are_paths(runs, tmp_path):
    out, folder = tmp_path / "n.png", tmp_path / "means"
    code, text, errors = tudor("path", "notes", runs / "coder", runs / "notes", "-o", out,
                               "--paths", folder, "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert {name: each["pitches"] for name, each in found["instruments"].items()} == {
        "Vc pizz": [61, 69], "Vn": [61, 69]}
    assert (found["notes"], found["left_out"]) == (4, 1)
    assert 0 <= found["between_instruments"] <= 1
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert [file.name for file in sorted(folder.iterdir())] == ["Vc_pizz.path", "Vn.path"]
    assert read_path(folder / "Vn.path").knots.shape == (16, 4)


@pytest.mark.parametrize(("args", "said"), [
    (("line", "coder", "1", "2", "--backend", "pytorch", "-o", "{dir}/x.wav"), "generates nothing"),
    (("line", "coder", "1", "-o", "{dir}/x.path"), "two places at least"),
    (("line", "coder", "1", "0.5,1", "-o", "{dir}/x.path"), "this model's latents is 4 numbers"),
    (("line", "drums", "1", "0,0,9", "-o", "{dir}/x.path"), "3 numbers of -8 to 8, got 9"),
    (("line", "drums", "1", "{runs}/notes/other.wav", "-o", "{dir}/x.path"), "finds no z"),
    (("line", "drums", "1", "gone.wav", "-o", "{dir}/x.path"), "there is no such file"),
    (("line", "drums", "1", "2", "--set", "z 1=0", "-o", "{dir}/x.path"), "what the path moves"),
    (("line", "drums", "1", "2", "--set", "kick=1", "-o", "{dir}/x.path"), "no attribute or cond"),
    (("traversal", "coder", "--number", "5", "-o", "{dir}/x.path"), "has 1 to 4"),
    (("traversal", "coder", "--low", "0", "-o", "{dir}/x.path"), "give both or none"),
    (("walk", "coder", "--step", "2", "-o", "{dir}/x.path"), "--step must lie"),
    (("circle", "coder", "--plane", "flat", "-o", "{dir}/x.path"), "--plane wants random, pca"),
    (("walk", "coder", "-o", "{dir}/x.json"), "ends in .path"),
    (("geodesic", "coder", "1", "2", "--optimiser", "sgd", "-o", "{dir}/x.path"), "adam or lbfgs"),
    (("play", "coder", "{dir}/gone.path", "{dir}/x.wav"), "No such file"),
    (("notes", "drums", "{runs}/notes", "-o", "{dir}/x.png"), "finds no latents of a sound"),
    (("notes", "coder", "{runs}/coder", "-o", "{dir}/x.png"), "holds"),
    (("map", "coder", "{dir}/gone.path", "-o", "{dir}/x.txt"), "ends in .map"),
])
def test_mistakes_are_one_line_and_nothing_is_written(runs, tmp_path, args, said):
    kind, run, *rest = (part.format(dir=tmp_path, runs=runs) for part in args)
    code, _, errors = tudor("path", kind, runs / run, *rest)
    assert code == 1
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_path_of_another_model_is_refused(runs, tmp_path):
    made(runs, tmp_path, "line", "drums", 1, 2)
    code, _, errors = tudor("path", "play", runs / "coder", tmp_path / "line.path",
                            tmp_path / "x.wav", "--backend", "pytorch")
    assert code == 1
    assert "moves 3 (z 1 ... z 3), coder takes 4 (latent 1 ... latent 4)" in errors
