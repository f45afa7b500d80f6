"""Every kind of file starts a model at rest, and goes back there: silence in, silence out."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engine.errors import ModelFileError
from engine.models.base import Model
from engine.models.rest import from_zeros
from engine.models.store import load_model
from engine.players.base import Player, load
from engine.players.host import Host
from export.native.export import export_native, write_description
from export.nn.export import export_nn
from export.nn.host_rate import at_host_rate
from export.onnx import export as onnx_export
from export.onnx.export import export_onnx
from export.quantise.calibration import Request
from export.quantise.export import export_quantised
from export.quantise.recordings import Material
from export.verify import verify
from tests.engine.models.test_rest import CLICK_DBFS, Recurrent, peak_dbfs, resting
from training.corpus.techno import render_loop

WRITERS = {"tudor": export_native, "onnx": export_onnx, "ts": export_nn}


@pytest.fixture(scope="module")
def tiny() -> Model:
    return resting(load_model("techno-tiny").model)


def loud(channels: int, frames: int, batch: int = 1) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (0.3 * rng.standard_normal((batch, channels, frames))).astype(np.float32)


def check_silence(player: Player) -> None:
    """At the start and after a reset, in every stream; through the coder too."""
    spec = player.description.main
    frames = -(-40 * 128 // spec.in_frames) * spec.in_frames
    quiet = np.zeros((player.batch, 1, frames), np.float32)
    assert peak_dbfs(player.process(spec.name, quiet)) < CLICK_DBFS
    assert peak_dbfs(player.process(spec.name, loud(1, frames, player.batch))) > -30
    player.reset()
    assert peak_dbfs(player.process(spec.name, quiet)) < CLICK_DBFS
    state = player.new_state()
    latents = player.process("encode", quiet, state)
    assert peak_dbfs(player.process("decode", latents, state)) < CLICK_DBFS


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_does_not_click(suffix: str, tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    WRITERS[suffix](tiny, path, tiny.describe("x"))
    check_silence(load(path))
    check_silence(load(path, batch=3))
    x = loud(1, 20 * tiny.ratio)
    wanted = tiny.offline("forward", torch.from_numpy(x)).numpy()
    player = load(path)
    for _ in range(2):
        y = np.concatenate([player.process("forward", x[0, :, at : at + tiny.ratio])
                            for at in range(0, x.shape[2], tiny.ratio)], axis=1)
        assert y.shape == wanted[0].shape
        assert np.abs(y - wanted[0]).max() < 2e-5
        player.reset()
    zero = from_zeros(tiny).offline("forward", torch.from_numpy(x)).numpy()
    assert np.abs(zero - wanted).max() > 1e-3


def test_whole_numbers_do_not_click_either(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "x.tudor"
    audio = render_loop(2000, 0)[0][:, :32000]
    description = tiny.describe("x", {"dtype": "q16x8"})
    done = export_quantised(tiny, path, description,
                            Request("q16x8", Material("loops", audio, audio)))
    assert done.methods["decode"].snr_db > 40  # as from zeros: a start is no matter of bits
    check_silence(load(path))
    assert verify(path, tiny).passed
    write_description(path, replace(description, provenance={"dtype": "q16x8", "more": "x" * 999}))
    check_silence(load(path))


@pytest.mark.parametrize("rate", [32000, 48000])
def test_nn_at_a_hosts_rate_does_not_click(rate: int, tiny: Model, tmp_path: Path) -> None:
    """Resampled, and at 48 kHz with queues besides; more streams than the file has room for."""
    path, played = tmp_path / "x.ts", at_host_rate(tiny, rate)
    export_nn(played, path, played.describe("x"), max_batch=2)
    player = load(path, batch=3)
    quiet = np.zeros((3, 1, 60 * 256), np.float32)
    for _ in range(2):
        assert peak_dbfs(player.process("forward", quiet)) < CLICK_DBFS
        player.process("forward", loud(1, 1024, 3))
        player.reset()


@pytest.mark.parametrize("suffix", WRITERS)
def test_recurrent_layers_and_noise_start_alike_everywhere(suffix: str, tmp_path: Path) -> None:
    model = Recurrent().eval()
    path = tmp_path / f"x.{suffix}"
    WRITERS[suffix](model, path, model.describe("x"))
    x = loud(1, 512)
    wanted = model.offline("forward", torch.from_numpy(x)).numpy()[0]
    player = load(path)
    for _ in range(2):
        y = player.process("forward", x[0])
        assert y.shape == wanted.shape == (2, 512)
        assert np.abs(y - wanted).max() < 2e-5
        player.reset()
    other = from_zeros(model).offline("forward", torch.from_numpy(x)).numpy()[0]
    assert np.abs(wanted - other).max() > 1e-2


def test_a_host_is_silent_from_its_first_sample(tiny: Model, tmp_path: Path) -> None:
    export_native(tiny, tmp_path / "x.tudor", tiny.describe("x"))
    host = Host(load(tmp_path / "x.tudor"))
    quiet = np.zeros((1, 3000), np.float32)
    assert peak_dbfs(host.process(quiet)) < CLICK_DBFS
    host.process(loud(1, 3000)[0])
    host.reset()
    assert peak_dbfs(host.process(quiet)) < CLICK_DBFS


def test_files_that_start_from_zeros_say_nothing(tiny: Model, tmp_path: Path) -> None:
    zero = from_zeros(tiny)
    export_onnx(zero, tmp_path / "x.onnx", zero.describe("x"))
    assert "start" not in {p.key for p in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert "start" not in zero.describe("x").config


def test_a_damaged_start_of_an_onnx_file_is_named(tmp_path: Path) -> None:
    model, path = Recurrent().eval(), tmp_path / "x.onnx"
    export_onnx(model, path, model.describe("x"))
    told = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert set(json.loads(told["start"])) == {"state_in_0", "state_in_1", "state_in_2",
                                              "state_in_4"}  # 3 counts noise
    nan = b64encode(np.full(5, np.nan, "<f4").tobytes()).decode()
    short = b64encode(bytes(8)).decode()
    for start in ("[]", "{", '{"state_in_1": 3}', '{"state_in_1": "?"}', '{"state_in_9": ""}',
                  json.dumps({"state_in_1": nan}), json.dumps({"state_in_1": short})):
        proto = onnx.load(path)
        onnx_export._set_metadata(proto, {**told, "start": start, "sha256": "0" * 64})
        onnx_export._save(proto, tmp_path / "y.onnx")
        with pytest.raises(ModelFileError, match=r"y\.onnx.*metadata is damaged"):
            load(tmp_path / "y.onnx")
