"""The toy autoregressive family in fewer bits: exported, verified, played, costed."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from engine.audio import read_audio
from engine.boards.fit import fit
from engine.boards.work import task_of_file
from engine.errors import ConfigError
from engine.layers import Conv1d, Guard
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family, build
from engine.models.store import Stored
from engine.players.base import load
from engine.players.native import NativePlayer
from engine.players.native_model import NativeFile, NativeModel
from export import targets
from export.quantise import drawn
from export.report import comparison_tables, export_table
from export.targets import Done, check, export_model, failure
from export.verify import verify
from firmware.host.play import play
from nn_tudor.cli import main
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from tests.families.test_autoregressive import SHAPES, generated, made, stored, tones
from tests.firmware.machines import assert_same_bits, bench, instruction_sets, machine

FORMS = [(name, dtype) for name in SHAPES for dtype in ("bf16w", "q16x8")]
MOST_LOST = {"bf16w": 1e-4, "q16x8": 1e-3}  # bits of a draw


@pytest.fixture(scope="module", autouse=True)
def family():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, Autoregressive.family, Family(
            AutoregressiveConfig, Autoregressive, "a toy that generates"))
        patch.setattr(drawn, "CALIBRATION_DRAWS", 1 << 13)
        patch.setattr(drawn, "HELD_OUT_DRAWS", 1 << 11)
        patch.setattr(drawn, "CHECKED_DRAWS", 1 << 10)
        patch.setattr(targets, "find_spec",  # pictures take longest; one test wants one
                      lambda name: None if name == "matplotlib" else find_spec(name))
        yield


@pytest.fixture(scope="module")
def exported(family, tmp_path_factory) -> dict[tuple[str, str], Done]:
    """Every shape in every format."""
    folder = tmp_path_factory.mktemp("formats")
    found = {}
    for name, dtype in FORMS:
        out = folder / f"{name}.{dtype}.tudor"
        found[name, dtype] = export_model(stored(name), check("native", out, dtype), out, dtype)
    return found


def path_of(done: Done) -> Path:
    return done.files[-1]


@pytest.mark.parametrize("form", FORMS, ids=":".join)
def test_an_export_tells_what_its_draws_lost(form, exported):
    name, dtype = form
    done = exported[form]
    assert done.comparison is not None
    loss = done.comparison.methods["generate"]
    assert loss.drawn is not None
    assert 3 < loss.drawn.bits < 8
    assert 0 < loss.drawn.lost_bits < MOST_LOST[dtype]
    assert loss.snr_db > loss.aim_db
    assert loss.distance is None
    rows = {layer.name: layer.dtype for layer in loss.layers}
    assert ("bfloat16" if dtype == "bf16w" else "int8") in rows.values()
    last = "loop/net/6/conv1d" if name == "wavenet" else "loop/net/2/conv1d"
    assert done.comparison.kept == (last,)  # the numbers that draws are made from
    assert rows[last] == ("int16" if dtype == "q16x8" else "float32")
    report = done.report.methods["generate"]
    assert done.report.passed
    assert report.draws > 4000
    assert report.same_draws > 0.97 * report.draws
    assert report.mean_miss < 1e-3
    told = load(path_of(done)).description.provenance
    assert told["dtype"] == dtype
    assert told["quantisation"]["methods"]["generate"]["drawn"]["lost_bits"] == loss.drawn.lost_bits
    assert told["quantisation"]["methods"]["generate"]["input_peak"] > 1
    json.dumps(done.comparison.to_dict(), allow_nan=False)
    console = Console(width=200, record=True)
    for table in (*comparison_tables(done.comparison), export_table(done)):
        console.print(table)
    text = console.export_text()
    assert "lost bits" in text
    assert f"{loss.drawn.lost_bits:.2g}" in text
    assert f"{report.same_draws}/{report.draws} drawn" in text


@pytest.mark.parametrize("form", FORMS, ids=":".join)
def test_every_instruction_set_chunking_and_slicing_generates_the_same_bits(form, exported):
    path = path_of(exported[form])
    x, wanted = generated(path)
    for isa in instruction_sets():
        model = NativeModel.open(path, isa=isa)
        parts = [model.process("generate", np.ascontiguousarray(x[None, :, a:b]))[0]
                 for a, b in ((0, 1), (1, 4), (4, 6), (6, 24))]
        assert_same_bits(np.concatenate(parts, axis=1), wanted, isa)
    for slices in (2, 5, 16, 37):
        model, got = NativeModel.open(path), []
        for at in range(0, 24, 2):
            block, out = np.ascontiguousarray(x[None, :, at : at + 2]), np.zeros((1, 1, 32), "f4")
            for i in range(slices):
                model.process_slice("generate", block, out, i, slices)
            got.append(out[0])
        assert_same_bits(np.concatenate(got, axis=1), wanted, f"{slices} slices")


@pytest.mark.parametrize("form", FORMS, ids=":".join)
@pytest.mark.parametrize("target", ["m7", "aarch64"])
def test_boards_generate_the_same_bits(form, target, exported):
    path, board = path_of(exported[form]), machine(target)
    x, wanted = generated(path)
    data = path.read_bytes()
    chunked = play(board, data, x, method="generate", frames=(1, 3, 2))
    assert_same_bits(chunked.audio, wanted)
    assert_same_bits(play(board, data, x, method="generate", frames=(2,), slices=5).audio, wanted)


@pytest.mark.parametrize("form", FORMS, ids=":".join)
def test_verify_finds_a_wrong_file(form, exported):
    """Other weights, draws that do not follow from the past, blocks that differ."""
    name, _ = form
    path, model = path_of(exported[form]), made(name)
    changed = made(name)
    with torch.no_grad():
        for parameter in changed.loop.net.parameters():
            parameter.mul_(0.7)
    description = load(path).description
    unsigned = {k: v for k, v in description.provenance.items() if k != "weights_sha256"}

    class Other(NativePlayer):
        def __init__(self, file):
            super().__init__(file)
            self.description = replace(description, provenance=unsigned)

    found = verify(lambda: Other(path), changed)
    assert not found.passed
    assert found.methods["generate"].consistent
    assert "on average" in failure(found)
    assert verify(lambda: Other(path), model).passed

    class Late(Other):
        def _run(self, method, x, state):
            y = super()._run(method, x, state)
            return y if y.shape[-1] > 16 else np.roll(y, 1, axis=-1)

    assert not verify(lambda: Late(path), model).methods["generate"].consistent


def test_conditions_from_a_folder_and_mistakes(tmp_path, exported):
    out = tmp_path / "out" / "x.tudor"
    folder = tmp_path / "conditions"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", 0.1 * rng.standard_normal((2, 90)).astype(np.float32))
    done = export_model(stored("tiers"), check("native", out, "q16x8"), out, "q16x8",
                        calibrate=folder)
    assert done.comparison is not None
    loss = done.comparison.methods["generate"]
    assert 0.2 < loss.input_peak < 0.5 < exported["tiers", "q16x8"].comparison.methods[
        "generate"].input_peak
    assert f"for the conditions in {folder}" in done.comparison.calibration
    for to, dtype, options, said in (
        ("native", "q16x8", {"calibrate": tones(tmp_path)}, "generate hears no audio"),
        ("native", "q16x8", {"keep": ("loop/none",)}, "no layer has that name"),
        ("onnx", "int8", {}, "nothing in a loop; use --to native"),
    ):
        wrong = tmp_path / "wrong" / f"x.{'tudor' if to == 'native' else to}"
        with pytest.raises(ConfigError, match=said):
            export_model(stored("tiers"), check(to, wrong, dtype), wrong, dtype, **options)
        assert not wrong.exists()


class WithAnalysis(Autoregressive):
    """Its conditions are what it makes of audio itself."""

    family = "with_analysis"

    def __init__(self, config):
        super().__init__(config)
        self.analysis = Conv1d(1, 2, config.hop, stride=config.hop)

    def chains(self):
        return {"listen": Chain.of(Guard(1), ("analysis", self.analysis), inputs=("audio",),
                                   outputs=("pitch", "level"), role="encode"), **super().chains()}


def test_a_model_s_own_analysis_makes_the_conditions(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, WithAnalysis.family, Family(
        AutoregressiveConfig, WithAnalysis, "a toy that listens"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(WithAnalysis.family, SHAPES["tiers"]).eval()
    out = tmp_path / "x.tudor"
    found = Stored("x", model, {}, True, None)
    done = export_model(found, check("native", out, "q16x8"), out, "q16x8",
                        calibrate=tones(tmp_path))
    assert done.comparison is not None
    assert set(done.comparison.methods) == {"listen", "generate"}
    heard, drew = done.comparison.methods["listen"], done.comparison.methods["generate"]
    assert heard.drawn is None
    assert drew.drawn is not None
    assert 0.25 < heard.input_peak < 0.35  # the tones
    peaks = [float(model.offline("listen", torch.from_numpy(
        read_audio(tmp_path / "tones" / f"{i}.wav")[0][None, :, :32000])).abs().max())
        for i in range(2)]
    assert min(abs(drew.input_peak / peak - 1) for peak in peaks) < 0.02
    with pytest.raises(ConfigError, match="name a folder of audio"):
        export_model(found, check("native", out, "q16x8"), out, "q16x8")


def test_keep_auto_and_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "find_spec", find_spec)
    monkeypatch.setattr("export.quantise.comparison.DRAWN",
                        replace(drawn_aim(), kept=48.0))
    out = tmp_path / "x.tudor"
    done = export_model(stored("tiers"), check("native", out, "q16x8"), out, "q16x8",
                        keep=("auto",))
    assert done.comparison is not None
    assert len(done.comparison.kept) > 1
    assert done.comparison.methods["generate"].snr_db > 48
    assert out.with_name("x.noise.png") in done.files


def drawn_aim():
    from export.quantise.sensitivity import DRAWN

    return DRAWN


def test_cost_is_told_in_the_file_s_own_format(exported, tmp_path):
    task = task_of_file(NativeFile(path_of(exported["wavenet", "q16x8"])), "generate")
    assert task.dtype == "q16x8"
    found = fit(task, "daisy")
    float32 = fit(task, "daisy", "float32")
    assert not found.problems
    assert found.dtype == "q16x8"
    assert found.placement.weights_bytes < 0.5 * float32.placement.weights_bytes
    out = tmp_path / "bench.json"
    files = [path_of(done) for done in exported.values()]
    assert bench(*files, "--method", "generate", "--block", "128", "--seconds", "0.2",
                 "--warmup", "0.05", "--no-cold", "--json", out) == 0
    rows = json.loads(out.read_text())["results"]
    assert [Path(row["file"]).name for row in rows] == [file.name for file in files]
    assert {row["method"] for row in rows} == {"generate"}


def test_the_command_generates(exported, tmp_path):
    out = tmp_path / "out.wav"
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(path_of(exported["wavenet", "q16x8"])), str(out), "--seconds", "0.2"])
    assert not ended.value.code
    assert out.stat().st_size > 3000
