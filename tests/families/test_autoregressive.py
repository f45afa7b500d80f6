"""The toy autoregressive family from its file to every target, and what it generates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from engine.audio import read_audio, write_audio
from engine.boards.board import board_named
from engine.boards.loads import arithmetic_of
from engine.boards.placement import passes
from engine.boards.work import task_of_file, task_of_model
from engine.models.registry import FAMILIES, Family, build
from engine.models.store import Stored
from engine.players.base import load
from engine.players.native import NativePlayer
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import export_native
from export.report import export_table
from export.targets import check, export_model
from export.verify import EDGE, verify
from firmware.host.play import play
from nn_tudor.cli import main
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from tests.firmware.machines import assert_same_bits, bench, instruction_sets, machine

SHAPES = {"wavenet": {"kind": "wavenet"}, "tiers": {"kind": "tiers", "channels": 12}}


@pytest.fixture(autouse=True)
def family(monkeypatch):
    monkeypatch.setitem(FAMILIES, Autoregressive.family, Family(
        AutoregressiveConfig, Autoregressive, "a toy that generates"))


def made(name: str) -> Autoregressive:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = build(Autoregressive.family, SHAPES[name]).eval()
        for parameter in model.parameters():
            parameter.add_(0.3 * parameter.abs().mean() * torch.randn(parameter.shape))
    assert isinstance(model, Autoregressive)
    return model


def stored(name: str) -> Stored:
    settings = {"model": {"family": Autoregressive.family, **SHAPES[name]}}
    return Stored(name, made(name), settings, True, None)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("to", "suffix"), [("native", "tudor"), ("onnx", "onnx"), ("nn", "ts")])
def test_every_target_draws_the_same(name, to, suffix, tmp_path):
    out = tmp_path / f"x.{suffix}"
    done = export_model(stored(name), check(to, out), out)
    found = done.report.methods["generate"]
    assert done.report.passed
    assert found.draws > 4000
    assert found.same_draws >= found.draws - 3
    assert found.peak > 0.1
    console = Console(width=200, record=True)
    console.print(export_table(done))
    assert f"{found.same_draws}/{found.draws} drawn" in console.export_text()


@pytest.fixture
def files(tmp_path):
    """Both shapes as native files."""
    found = {}
    for name in SHAPES:
        model = made(name)
        found[name] = tmp_path / f"{name}.tudor"
        export_native(model, found[name], model.describe(name))
    return found


def run(*words):
    """The exit code of `tudor`."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def sound(path):
    x, rate = read_audio(path)
    assert rate == 16000
    return x


def test_generate_makes_sound_that_seed_and_settings_change(files, tmp_path, capsys):
    out = tmp_path / "out.wav"
    heard = {}
    for name, options in {"plain": (), "again": (), "seed": ("--seed", "7"),
                          "cooler": ("--set", "temperature=0.5"),
                          "pitch": ("--set", "pitch=0.9", "--set", "level=-1")}.items():
        assert run("generate", files["wavenet"], out, "--seconds", "0.3", *options) == 0
        heard[name] = sound(out)
        assert heard[name].shape == (1, 4800)
        assert np.abs(heard[name]).max() > 0.05
    assert np.array_equal(heard["plain"], heard.pop("again"))
    sounds = list(heard.values())
    assert all(not np.array_equal(a, b) for i, a in enumerate(sounds) for b in sounds[i + 1 :])
    assert "real-time factor" in capsys.readouterr().err


def test_generate_follows_conditions_from_a_file(files, tmp_path):
    conditions, out = tmp_path / "c.npy", tmp_path / "out.wav"
    ramp = np.linspace(-2, 2, 100, dtype=np.float32)
    np.save(conditions, np.stack((ramp, -ramp)))
    assert run("generate", files["tiers"], out, "--seconds", "0.2", "--conditions",
               conditions) == 0
    y = load(files["tiers"]).process("generate", np.pad(
        np.stack((ramp, -ramp)), ((0, 0), (0, 100)), mode="edge"))
    assert np.allclose(sound(out), y[:, :3200], atol=2**-14)


@pytest.mark.parametrize(("options", "said"), [
    (("--set", "temprature=1"), "did you mean 'temperature'"),
    (("--set", "pitch=high"), "not a number"),
    (("--set", "temperature=9"), "ranges over"),
    (("--method", "forward"), "it has generate"),
    (("--conditions", "none.npy"), "none.npy"),
])
def test_mistakes_of_generate_are_one_line(files, tmp_path, capsys, options, said):
    assert run("generate", files["wavenet"], tmp_path / "out.wav", *options) == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.wav").exists()


def test_run_says_what_a_method_that_generates_takes(files, tmp_path, capsys):
    (source,) = sorted(tones(tmp_path).glob("0.wav"))
    assert run("run", files["wavenet"], source, tmp_path / "out.wav") == 1
    assert "takes conditions, a channel each (pitch, level)" in capsys.readouterr().err


def test_a_model_that_generates_nothing_says_what_it_does(tmp_path, capsys):
    assert run("generate", "techno-tiny", tmp_path / "out.wav") == 1
    assert "generates nothing, it has encode, decode, forward" in capsys.readouterr().err


def test_state_is_a_value_in_mid_generation(files):
    for path in files.values():
        x = np.zeros((1, 2, 40), np.float32)
        model = NativeModel.open(path)
        model.process("generate", x)
        state = model.save_state()
        wanted = model.process("generate", x)
        other = NativeModel.open(path)
        other.load_state(state)
        assert np.array_equal(other.process("generate", x), wanted)
        assert not np.array_equal(NativeModel.open(path).process("generate", x), wanted)


def test_a_wrong_draw_is_seen(files, monkeypatch):
    """Another seed than the file was told, one weight off by a hundredth, one sample changed."""
    path, model = files["wavenet"], made("wavenet")
    assert verify(path, model).passed
    changed = made("wavenet")
    with torch.no_grad():
        next(changed.loop.net.parameters())[0, 0] += 0.05
    assert not verify(path, changed).passed

    class Wrong(NativePlayer):
        def _run(self, method, x, state):
            y = super()._run(method, x, state)
            y[0, 0, 0] = -y[0, 0, 0] if abs(y[0, 0, 0]) > 0.01 else 1.0
            return y

    report = verify(lambda: Wrong(path), model)
    assert not report.passed
    assert report.methods["generate"].max_abs_error > EDGE


def test_rtf_bench_times_a_method_that_generates(files, tmp_path):
    out = tmp_path / "bench.json"
    assert bench(files["wavenet"], files["tiers"], "--method", "generate", "--block", "128",
                 "--seconds", "0.2", "--warmup", "0.05", "--no-cold", "--json", out) == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["method"] for row in rows] == ["generate"] * 2
    assert all(row["gflops"] > 0 for row in rows)


def test_the_op_table_says_how_often_a_loop_calls(files):
    table = NativeFile(files["tiers"]).ops("generate")
    steps = {op.steps for op in table}
    assert steps == {0, 4, 16}  # before the loop, frames of four, samples of a frame of 16


def test_fit_charges_a_loop_once_for_each_sample(files):
    """Weights of the loop are read for every row, however long the block; those before it are not.
    From layers and from the file alike."""
    model = made("wavenet")
    tasks = (task_of_file(NativeFile(files["wavenet"]), "generate"),
             task_of_model(model, "wavenet", "generate"))
    daisy = board_named("daisy")
    for task in tasks:
        looped = [w for w in task.works if w.loop_calls_per_second]
        assert {w.loop_calls_per_second for w in looped} == {16000.0}
        assert sum(w.macs_per_second for w in looped) == pytest.approx(
            16000 * model.loop.macs_per_frame(), rel=0.02)
        for index, work in enumerate(task.works):
            at_once = passes(task, index, 16000 / 1600, daisy)
            assert at_once >= work.loop_calls_per_second
            one = arithmetic_of(work, daisy, "float32", 10.0).high
            many = arithmetic_of(work, daisy, "float32", 1000.0).high
            assert (one == many) == (work in looped or many == 0)


def tones(folder):
    """Recordings to calibrate with."""
    found = folder / "tones"
    found.mkdir(exist_ok=True)
    for i in range(2):
        t = np.arange(16000 * 5) / 16000
        write_audio(found / f"{i}.wav", (0.3 * np.sin(t * 900 * (i + 1)))[None].astype("f4"), 16000)
    return found


def generated(path, frames=24):
    """Conditions, and what the plain C reference makes of them."""
    x = np.random.default_rng(5).standard_normal((2, frames)).astype(np.float32)
    return x, NativeModel.open(path, isa="ref").process("generate", x[None])[0]


@pytest.mark.parametrize("name", SHAPES)
def test_every_instruction_set_chunking_and_slicing_generates_the_same_bits(name, files):
    x, wanted = generated(files[name])
    for isa in instruction_sets():
        model = NativeModel.open(files[name], isa=isa)
        parts = [model.process("generate", np.ascontiguousarray(x[None, :, a:b]))[0]
                 for a, b in ((0, 1), (1, 4), (4, 6), (6, 24))]
        assert_same_bits(np.concatenate(parts, axis=1), wanted, isa)
    for slices in (2, 5, 16, 37):
        model, got = NativeModel.open(files[name]), []
        for at in range(0, 24, 2):
            block, out = np.ascontiguousarray(x[None, :, at : at + 2]), np.zeros((1, 1, 32), "f4")
            for i in range(slices):
                model.process_slice("generate", block, out, i, slices)
            got.append(out[0])
        assert_same_bits(np.concatenate(got, axis=1), wanted, f"{slices} slices")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("target", ["m7", "aarch64"])
def test_boards_generate_the_same_bits(name, target, files):
    x, wanted = generated(files[name])
    data, board = files[name].read_bytes(), machine(target)
    chunked = play(board, data, x, method="generate", frames=(1, 3, 2))
    assert_same_bits(chunked.audio, wanted)
    sliced = play(board, data, x, method="generate", frames=(2,), slices=5)
    assert_same_bits(sliced.audio, wanted)


def test_a_slice_of_a_loop_is_about_even(files):
    model = NativeModel.open(files["wavenet"])
    for slices in (2, 4, 16):
        worst, total = model.slice_costs("generate", 64, slices)
        assert total / slices <= worst <= 1.5 * total / slices


def test_the_docs_own_network_draws_and_learns():
    """The snippet of docs/generate.md."""
    text = (Path(__file__).parents[2] / "docs" / "generate.md").read_text("utf-8")
    snippets = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    (snippet,) = [each for each in snippets if "Loop(" in each]
    found: dict[str, Any] = {}
    exec(snippet, found)
    loop = found["loop"]
    values = {"temperature": torch.ones(1), "top_p": torch.ones(1), "seed": torch.zeros(1)}
    y, _ = loop(torch.zeros(2, 1, 50), loop.init_state(2), values)
    assert found["sound"](y, ())[0].abs().max() > 0.1
    loss = -loop.draw.log_prob(loop.teacher(None, y), y).mean()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in loop.parameters())
