"""Quantised exports from the command to the file: aims reached, losses told, mistakes refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from engine.errors import ConfigError, TudorError
from engine.models.base import Model
from engine.models.store import Stored, load_model
from engine.players.base import FloatArray, Player, load
from export.passages import passages
from export.quantise import export as native_quantised
from export.quantise.noise_plot import third_octaves
from export.report import comparison_tables
from export.targets import TARGETS, Done, export_model
from export.verify import verify
from nn_tudor import cli
from tests.export.small_models import small_model

CASES = [("native", "bf16w"), ("native", "q16x8"), ("onnx", "int8")]


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    """Two short recordings: clicks over coloured noise."""
    folder = tmp_path_factory.mktemp("audio")
    for i in range(2):
        rng = np.random.default_rng(i)
        sound = 0.05 * np.cumsum(rng.standard_normal(5 * 16000)) / 50
        sound += 0.3 * np.sin(np.arange(sound.size) * 0.2) * (np.arange(sound.size) % 4000 < 900)
        soundfile.write(folder / f"{i}.wav", np.clip(sound, -0.9, 0.9), 16000)
    return folder


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module")
def exported(model, audio, tmp_path_factory) -> dict[str, Done]:
    """Every quantised dtype of the small model, each in a folder of its own."""
    return {dtype: export_model(stored(model), TARGETS[to],
                                tmp_path_factory.mktemp(dtype) / f"x{TARGETS[to].suffix}", dtype,
                                audio) for to, dtype in CASES}


def stored(net: Model) -> Stored:
    return Stored("small", net, {}, True, None)


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for _, d in CASES])
def test_a_quantised_file_tells_what_it_is(dtype, model, audio, exported):
    done = exported[dtype]
    out = done.files[-1]
    assert done.report.passed
    assert done.report.dtype == dtype
    assert sorted(out.parent.iterdir()) == sorted(done.files)
    assert out.with_name("x.noise.png") in done.files
    provenance = load(out).description.provenance
    assert provenance["dtype"] == dtype
    told = provenance["quantisation"]
    assert told["calibration"] == str(audio)
    assert set(told["methods"]) == set(model.methods)
    assert done.comparison is not None
    for name, loss in done.comparison.methods.items():
        assert told["methods"][name]["snr_db"] == loss.snr_db
        assert loss.snr_db > 10
    rows = {layer.name: layer for layer in done.comparison.methods["encode"].layers}
    assert ("bfloat16" if dtype == "bf16w" else "int8") in {row.dtype for row in rows.values()}
    json.dumps(done.comparison.to_dict(), allow_nan=False)
    assert verify(out, model).passed
    assert "other weights" in verify(out, small_model(seed=5)).problem


class Faulty(Player):
    """Plays `inner` with a fault."""

    def __init__(self, inner: Player, fault: str) -> None:
        super().__init__(inner.description, None)
        self.inner, self.fault = inner, fault

    def _run(self, method, x: FloatArray, state) -> FloatArray:
        if self.fault == "forgets":
            self.inner.reset(state)
        y = self.inner.process(method.name, x, state)
        return -y if self.fault == "negates" else y

    def _new_state(self):
        return self.inner.new_state()

    def _reset(self, state) -> None:
        self.inner.reset(state)

    def _apply(self, state, name: str, value: FloatArray) -> None:
        self.inner.set(name, value)


@pytest.mark.parametrize(("fault", "column"), [("none", ""), ("forgets", "consistent"),
                                               ("negates", "snr")])
def test_faults_of_quantised_files_are_found(fault, column, model, exported):
    out = exported["q16x8"].files[-1]
    report = verify(lambda: Faulty(load(out), fault), model)
    assert report.passed == (fault == "none")
    encode = report.methods["encode"]
    assert encode.consistent == (column != "consistent")
    if fault != "forgets":  # which gives wrong numbers too
        assert (encode.snr_db >= report.least_snr_db) == (column != "snr")


def test_fast_kernels_are_held_to_the_plain_ones(model, exported):
    """A native file whose fast kernels give other bits than the plain C reference fails."""
    player = load(exported["q16x8"].files[-1])
    right = player.fresh

    def wrong(isa: str | None = None):
        made = right(isa)
        if isa == "ref":
            play = made.process
            made.process = lambda method, x: np.nextafter(play(method, x), np.float32(9))
        return made

    player.fresh = wrong  # type: ignore[method-assign]
    report = verify(lambda: player, model)
    assert not report.passed
    assert not report.methods["encode"].consistent


def test_louder_than_calibrated_is_clipped_not_wrapped(model, exported):
    player = load(exported["q16x8"].files[-1])
    x = passages(model.methods["forward"])
    x = 8 * np.sign(x[:, : x.shape[1] // 4])
    loud = player.process("forward", x.astype(np.float32))
    assert np.isfinite(loud).all()
    assert np.abs(loud).max() <= 1.001  # the model's last layer is a tanh


def test_onnx_state_stays_float(exported):
    import onnx

    proto = onnx.load(exported["int8"].files[-1])
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("QuantizeLinear") > 5
    for tensor in [*proto.graph.input, *proto.graph.output]:
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    names = {tensor.name for tensor in proto.graph.input}
    assert any(name.startswith("state_in_") for name in names)


# --- mistakes -----------------------------------------------------------------------------------


def export(model, audio, tmp_path, to="native", dtype="q16x8", **options):
    out = tmp_path / f"x{TARGETS[to].suffix}"
    return export_model(stored(model), TARGETS[to], out, dtype, audio, **options)


def test_mistakes_are_named_and_leave_nothing(model, audio, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"--keep encoder/9: no layer.*did you mean 'encoder/"):
        export(model, audio, folder, keep=("encoder/9",))
    with pytest.raises(ConfigError, match="--keep"):
        export(model, audio, folder, to="onnx", dtype="int8", keep=("nothing",))
    with pytest.raises(ConfigError, match="--keep is for q16x8"):
        export(model, audio, folder, dtype="bf16w", keep=("auto",))
    with pytest.raises(ConfigError, match="--calibrate and --keep are for dtypes"):
        export(model, audio, folder, dtype="float32")
    with pytest.raises(ConfigError, match="name a folder of audio with --calibrate DIR"):
        export(model, None, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TudorError, match="holds no audio"):
        export(model, tmp_path / "empty", folder)
    assert list(folder.iterdir()) == []


def test_kept_layers_are_kept(model, audio, tmp_path, exported):
    everything = export(model, audio, tmp_path, keep=("none",)).comparison
    default = exported["q16x8"].comparison
    named = export(model, audio, tmp_path, keep=("encoder/0/conv1d",)).comparison
    assert everything.kept == ()
    assert len(default.kept) == 1
    assert set(named.kept) == {*default.kept, "encoder/0/conv1d"}
    assert default.methods["decode"].snr_db > everything.methods["decode"].snr_db
    assert named.methods["encode"].snr_db > default.methods["encode"].snr_db


def test_audio_is_written_in_float32_where_16_bits_cost_too_much(
    model, audio, tmp_path, monkeypatch, exported
):
    """As --keep audio does when asked, and only where it is needed."""
    asked = export(model, audio, tmp_path, keep=("audio",)).comparison
    default = exported["q16x8"].comparison
    assert asked.methods != default.methods
    monkeypatch.setattr(native_quantised, "MOST_LOST", -1.0)
    found = export(model, audio, tmp_path).comparison
    assert found.methods == asked.methods
    assert found.kept == asked.kept
    assert any("to the spectral distance on the calibration audio" in n for n in found.notes)
    spared = export(model, audio, tmp_path, keep=("none",)).comparison
    assert spared.kept == ()


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["techno-pi", "techno-desktop"])
def test_wide_band_presets_lose_no_quiet_bands(preset, tmp_path):
    done = export_model(load_model(preset), TARGETS["native"], tmp_path / "x.tudor", "q16x8")
    for loss in done.comparison.methods.values():
        assert loss.distance_change is None or loss.distance_change <= 0.03


def test_tables_hold_every_layer(exported):
    console = Console(width=120, record=True)
    comparison = exported["q16x8"].comparison
    for table in comparison_tables(comparison):
        console.print(table)
    text = console.export_text()
    for words in ("encode, layer by layer", "SNR dB", "spectral distance", "held-out",
                  f"{comparison.methods['decode'].snr_db:.1f}",
                  *(layer.name for layer in comparison.methods["encode"].layers)):
        assert words in text


def test_the_command_tells_all_as_json(audio, tmp_path, monkeypatch, model):
    monkeypatch.setattr("engine.models.store.load_model", lambda _: stored(model))

    def run(*args: object) -> tuple[int, str]:
        done = CliRunner().invoke(cli._one("export"), list(map(str, args)))
        return done.exit_code, done.stdout + (str(done.exception) if done.exception else "")

    common = ("any", "--to", "native", "--out", tmp_path / "x.tudor", "--dtype", "q16x8",
              "--calibrate", audio)
    code, text = run(*common, "--json")
    assert code == 0
    told = json.loads(text)
    assert told["verification"]["passed"] is True
    assert told["quantisation"]["methods"]["encode"]["layers"]
    code, text = run("any", "--to", "nn", "--out", tmp_path / "x.ts", "--dtype", "q16x8")
    assert code != 0
    assert "--to nn writes float32, not 'q16x8'" in text


def test_thirds_of_an_octave_find_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(32000) / 16000)[None]
    hz, level = third_octaves(tone, 16000)
    loudest = int(level.argmax())
    assert abs(np.log2(hz[loudest] / 1000)) <= 1 / 6
    assert level[loudest] == pytest.approx(-3.01, abs=0.3)
    assert np.delete(level, [loudest - 1, loudest, loudest + 1]).max() < -60
