"""What quantised models must reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.base import Model
from engine.models.store import load_model
from engine.players.base import FloatArray, load
from export.quantise.calibration import Material, Request
from export.quantise.export import audio_layers, export_quantised
from export.quantise.sensitivity import AUDIO, LATENTS
from training.corpus.techno import render_loop
from training.objectives.losses import spectral_distance


@pytest.fixture(scope="module")
def techno() -> tuple[Model, Material]:
    def loops(seed: int, count: int) -> FloatArray:
        return np.concatenate([render_loop(seed, i)[0][:, : 2 * 16000] for i in range(count)],
                              axis=1)

    return load_model("techno-tiny").model, Material("loops", loops(2000, 7), loops(3000, 4))


@pytest.mark.parametrize("keep", [(), ("auto",)], ids=["plain", "auto"])
def test_a_trained_model_keeps_its_quality(keep, techno, tmp_path):
    net, material = techno
    path = tmp_path / "x.tudor"
    done = export_quantised(net, path, net.describe("techno-tiny"),
                            Request("q16x8", material, keep))
    aims = {name: (LATENTS if spec.out_ratio > 1 else AUDIO) for name, spec in net.methods.items()}
    for name, loss in done.methods.items():
        aim = aims[name].kept if keep else aims[name].plain
        assert loss.aim_db == aim
        assert loss.snr_db >= aim, name
        if loss.distance_change is not None:
            assert loss.distance_change <= 0.03
    float_bytes = sum(p.numel() for p in net.parameters()) * 4
    assert path.stat().st_size < 0.4 * float_bytes  # int8 weights, held once for all methods
    assert "decoder/13/conv_transpose1d" in done.kept  # writes audio
    # The figures are those of the file itself, played here again.
    player = load(path)
    x = material.held_out[:, : material.held_out.shape[1] // net.ratio * net.ratio]
    played, exact = player.process("forward", x), net.offline("forward", torch.tensor(x)[None])[0]
    noise = float(np.square(played - exact.numpy()).mean())
    snr = 10 * np.log10(float(exact.square().mean()) / noise)
    # A little apart: the file starts at the rest of its own integers, the figure at the float ones.
    assert snr == pytest.approx(done.methods["forward"].snr_db, abs=0.1)
    late = net.methods["forward"].lookahead_samples
    distance = spectral_distance(torch.from_numpy(played[:, late:]),
                                 torch.from_numpy(x[:, : x.shape[1] - late]))
    assert float(distance) == pytest.approx(done.methods["forward"].distance, rel=1e-4)


def test_layers_next_to_audio():
    net = load_model("techno-tiny").model
    from export.native.export import lower

    programs = lower({m: net.graph(m) for m in net.methods}, net.describe("x"))
    assert audio_layers(programs, net) == {"decoder/13/conv_transpose1d"}
    assert audio_layers(programs, net, reading=True) == {"decoder/13/conv_transpose1d",
                                                         "encoder/0/conv1d"}
