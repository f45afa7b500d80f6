"""A model of one sample rate in a host of another: resampled inside the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.models.store import Stored
from engine.players.torchscript import TorchScriptPlayer
from export.nn.export import export_nn
from export.nn.host_rate import Queued, Resampled, at_host_rate
from export.targets import TARGETS, export_model
from export.verify import verify
from tests.export.nn.nn_host import NnHost
from tests.export.small_models import small_model


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_filters_keep_the_band_and_stop_what_folds(factor: int) -> None:
    """Down and up again: what the model hears is flat to .9 of its Nyquist and clean of more."""
    model = Resampled(small_model(), factor).double()
    down, up = model.down["method_forward"], model.up["method_forward"]
    delay = int(down.lookahead + up.lookahead * factor)
    n = torch.arange(12000 * factor, dtype=torch.float64)
    for of_nyquist, least, most in ((0.1, 0.9999, 1.0001), (0.88, 0.999, 1.001), (1.15, 0, 2e-4)):
        x = torch.sin(torch.pi * of_nyquist / factor * n)[None, None]
        y = up.offline(down.offline(x))
        assert y.shape == x.shape
        late = y[0, 0, 2000 * factor : 10000 * factor]
        sent = x[0, 0, 2000 * factor - delay : 10000 * factor - delay]
        assert least <= float(late.square().mean().sqrt() / sent.square().mean().sqrt()) <= most
        if least:
            assert float((late - sent).abs().max()) < 2e-3, "the declared latency is wrong"


@pytest.mark.parametrize("buffer", [128, 256, 512, 4096])
@pytest.mark.parametrize(("shape", "rate"), [("mono", 48000), ("mono", 32000), ("stereo", 144000)])
def test_nn_plays_it_as_offline(tmp_path: Path, shape: str, rate: int, buffer: int) -> None:
    model = small_model("raw_vae", shape)
    wide = at_host_rate(model, rate)
    path = tmp_path / "wide.ts"
    export_nn(wide, path, wide.describe("wide"))
    host = NnHost(path, "forward", buffer, batch=2)
    assert host.module.get_sample_rate() == rate
    x = (0.3 * np.random.default_rng(0).standard_normal((2, host.in_channels, 8192))).astype(
        np.float32)
    wanted = wide.offline("forward", torch.from_numpy(x)).numpy()
    assert wanted.shape == x.shape
    assert np.abs(wanted).max() > 0.01
    assert np.abs(host.play(x) - wanted).max() < 1e-5
    assert host.set("reset", "1")
    assert np.abs(host.play(x) - wanted).max() < 1e-5
    assert not host.errors


def test_odd_multiples_have_only_methods_of_audio() -> None:
    wide = at_host_rate(small_model(), 48000)
    assert isinstance(wide, Queued)
    assert set(wide.methods) == {"forward"}
    assert wide.methods["forward"].ratio == 64
    twice = at_host_rate(small_model(), 32000)
    assert {m: (s.in_ratio, s.out_ratio) for m, s in twice.methods.items()} == {
        "encode": (1, 128), "decode": (128, 1), "forward": (1, 1)}


def test_the_latency_that_is_told_is_the_true_one(tmp_path: Path) -> None:
    """The file against the model at its own rate, on a slow sine: same sound, so much later."""
    model = small_model()
    wide = at_host_rate(model, 48000)
    late, early = (m.methods["forward"].lookahead_samples for m in (wide, model))
    late -= 3 * early
    assert late == 2 * 25 * 3 - 2 + 3 * 64 - 64
    n = np.arange(48000)
    x = 0.5 * np.sin(2 * np.pi * 300 * n / 48000)
    narrow = model.double().offline("forward", torch.from_numpy(x[None, None, ::3])).numpy()[0, 0]
    y = wide.double().offline("forward", torch.from_numpy(x[None, None])).numpy()[0, 0]
    wanted = np.fft.rfft(narrow[4096:12288] * np.hanning(8192))
    got = np.fft.rfft(y[late + 3 * 4096 : late + 3 * 12288 : 3] * np.hanning(8192))
    bin_ = round(300 / 16000 * 8192)
    assert abs(np.angle(got[bin_] / wanted[bin_])) < 2 * np.pi * 300 / 48000, "within one sample"


def test_exported_verified_and_verified_again(tmp_path: Path) -> None:
    model = small_model()
    path = tmp_path / "wide.ts"
    stored = Stored("x", model, {}, trained=True, weights_path=None)
    done = export_model(stored, TARGETS["nn"], path, host_rate_hz=48000)
    assert done.report.passed
    assert list(done.report.methods) == ["forward"]
    assert verify(path, model).passed
    assert TorchScriptPlayer(path).sample_rate_hz == 48000
    assert "!= 48000" in (tmp_path / "wide.pd").read_text()
    assert not verify(path, small_model(seed=1)).passed


@pytest.mark.parametrize("rate", [44100, 8000, 22050, 0, -1, 160000])
def test_other_rates_are_refused_in_one_line(tmp_path: Path, rate: int) -> None:
    stored = Stored("x", small_model(), {}, trained=True, weights_path=None)
    with pytest.raises(ConfigError, match="whole multiple") as error:
        export_model(stored, TARGETS["nn"], tmp_path / "x.ts", host_rate_hz=rate)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="--to nn"):
        export_model(stored, TARGETS["onnx"], tmp_path / "x.onnx", host_rate_hz=48000)
