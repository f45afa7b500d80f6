"""What each operation of a native file does to its rows, in PyTorch: part of the simulator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers.base import Streaming, call
from engine.layers.draw import Categorical, Draw, LogisticMixture
from engine.layers.fractional_delay import FractionalDelay
from engine.layers.harmonics import TURN, Harmonics
from engine.layers.noise import (
    SEED,
    LatentSample,
    frame_numbers,
    normal,
    stream_keys,
    uniform,
    whole_numbers,
)
from engine.layers.note import Note
from engine.layers.pitch import MIDDLE_C_HZ, PitchTrack
from engine.layers.pointwise import INPUT_LIMIT
from engine.layers.spectrum import Resynth, Spectrum
from export.native.file import clean
from export.native.nodes import Node, View


class Operations:
    """One method per kind of node: `x` is what its first input holds, [channels, time]."""

    maths: Any
    dtype: torch.dtype
    attributes: dict[str, Tensor]

    def real(self, view: View) -> Tensor:
        """What a view holds, as numbers of `dtype`: [channels, time]."""
        raise NotImplementedError

    def _act(self, node: Node, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _copy(self, node: Node, x: Tensor) -> Tensor:
        return x

    _quantise = _dequantise = _copy

    def _guard(self, node: Node, x: Tensor) -> Tensor:
        return torch.nan_to_num(x, 0, 0, 0).clamp(-INPUT_LIMIT, INPUT_LIMIT)

    def _map(self, node: Node, x: Tensor) -> Tensor:
        return self._act(node, x)

    def _gated(self, node: Node, x: Tensor) -> Tensor:
        a, b = x.chunk(2)
        return self._act(node, a) * self.maths.sigmoid(b)

    def _add(self, node: Node, x: Tensor) -> Tensor:
        return x + self.real(node.inputs[1])

    def _mul(self, node: Node, x: Tensor) -> Tensor:
        return x * self.real(node.inputs[1])

    def _affine(self, node: Node, x: Tensor) -> Tensor:
        scale, bias = (self.attributes[node.attributes[key]][:, None]
                       for key in ("attr_a", "attr_b"))
        return self.maths.fma(scale, x, bias)  # type: ignore[no-any-return]

    def _control(self, node: Node, rows: int) -> Tensor:
        """Values [size], or [size, settings], which then take their turns through the signal."""
        values = self.attributes[node.attributes["attr_a"]]
        if values.ndim == 1:
            return values[:, None].repeat(1, rows)
        return values[:, torch.arange(rows) * values.shape[1] // rows]

    def _embed(self, node: Node, x: Tensor) -> Tensor:
        table = torch.as_tensor(clean(node.table)).to(x.dtype)
        number = torch.where(x >= 0, x + 0.5, torch.zeros_like(x)).clamp_max(len(table) - 1)
        return table[number[0].long()].T

    def _draw(self, node: Node, x: Tensor) -> Tensor:
        """As PyTorch draws. A loop is told what it drew; this is for draws outside of one, and
        for the loop's where they go through a cast first."""
        layer = draw_layer(node)
        values = {name: self.attributes[name] for name in layer.uses}
        state = layer.init_state(1, x.dtype)
        return call(layer, x[None], state, values)[0][0]

    _categorical = _logistic_mixture = _draw

    def _fractional_delay(self, node: Node, x: Tensor) -> Tensor:
        p = node.params
        layer = FractionalDelay(p["phases"], p["kernel"] + p["seed"] - 2, p["seed"])
        both = torch.cat((x, self.real(node.inputs[1])))[None]
        return layer(both, layer.init_state(1, x.dtype))[0][0]  # type: ignore[no-any-return]

    def _norm(self, node: Node, x: Tensor) -> Tensor:
        """Sums in the order of the channels, as the runtime adds; rounded once where it fuses."""
        count, fma = torch.tensor(float(len(x)), dtype=x.dtype), self.maths.fma
        weight, bias = torch.as_tensor(node.extra).to(x.dtype).reshape(2, -1, 1)
        if node.gate:
            mean = torch.zeros_like(x[0])
            for row in x:
                mean = mean + row
            x = x - mean / count
        square = torch.zeros_like(x[0])
        for row in x:
            square = fma(row, row, square)
        factor = 1 / self.maths.sqrt(square / count + torch.tensor(node.slope, dtype=x.dtype))
        return fma(x * factor, weight, bias)  # type: ignore[no-any-return]

    def _attention(self, node: Node, x: Tensor) -> Tensor:
        """Sums in the order in which the runtime adds: channels ascending, rows oldest first."""
        window, heads, maths = node.params["kernel"], node.params["groups"], self.maths
        q, k, v = x.unflatten(0, (3, heads, -1))  # each [heads, size, time]
        size, time = q.shape[1:]
        k, v = (F.pad(part, (window - 1, 0)).unfold(2, window, 1) for part in (k, v))
        valid = torch.arange(window - 1, -1, -1) <= torch.arange(time)[:, None]  # [time, window]
        scores = torch.zeros_like(k[:, 0])  # [heads, time, window]
        for c in range(size):
            scores = maths.fma(q[:, c, :, None].expand_as(scores), k[:, c], scores)
        one = torch.tensor(1.0, dtype=x.dtype)
        scores = scores * (one / maths.sqrt(torch.tensor(float(size), dtype=x.dtype)))
        largest = torch.where(valid, scores, -torch.inf).amax(dim=2, keepdim=True)
        weight = torch.where(valid, maths.exp(scores - largest), 0 * one)
        total, mean = torch.zeros_like(weight[:, :, 0]), torch.zeros_like(q)
        for j in range(window):
            total = total + weight[:, :, j]
            mean = maths.fma(weight[:, None, :, j].expand_as(mean), v[..., j], mean)
        return (mean * (one / total)[:, None]).flatten(0, 1)

    def _tone(self, node: Node, x: Tensor) -> Tensor:
        """As PyTorch has it: phases are the runtime's, sums have another order."""
        return tone_layer(node).offline(x[None])[0]

    _pitch_track = _harmonics = _tone

    def _spectrum(self, node: Node, x: Tensor) -> Tensor:
        """As PyTorch has it: sums have another order."""
        p = node.params
        return Spectrum(p["kernel"], p["stride"], node.slope).offline(x[None])[0]

    def _resynth(self, node: Node, x: Tensor) -> Tensor:
        """As PyTorch has it: phases are the runtime's, sums have another order."""
        p, seed = node.params, self.attributes.get(node.attributes["attr_seed"])
        layer = Resynth(p["kernel"], p["phases"], p["seed"])
        given = {} if seed is None else {SEED: seed}
        return layer(x[None], layer.init_state(1, x.dtype), given)[0][0]  # type: ignore[no-any-return]

    def _note(self, node: Node, x: Tensor) -> Tensor:
        return Note(len(x) - 1, node.params["kernel"]).offline(x[None])[0]

    def _frames(self, x: Tensor) -> Tensor:
        return frame_numbers(torch.zeros(1, 1, dtype=torch.float64), x[None])[0]

    def _noise(self, node: Node, x: Tensor) -> Tensor:
        keys = self._keys(node, x)
        return x * uniform(self._frames(x), len(x), node.params["seed"], x.dtype, keys)[0]

    def _keys(self, node: Node, x: Tensor) -> Tensor:
        return stream_keys(1, self.attributes.get(node.attributes["attr_seed"]), x.device)

    def _gaussian(self, node: Node, x: Tensor) -> Tensor:
        mean, log_std = x.chunk(2)
        keys = self._keys(node, x)
        g = normal(self._frames(x), len(mean), node.params["seed"], x.dtype, keys)[0]
        temperature = self.attributes[node.attributes["attr_a"]]
        spread = temperature * self.maths.exp(log_std.clamp(*LatentSample.LOG_STD_RANGE))
        return self.maths.fma(spread, g, mean)  # type: ignore[no-any-return]

    def _keyed_noise(self, node: Node, x: Tensor) -> Tensor:
        numbers, keys = whole_numbers(x[None]), self._keys(node, x)
        return normal(numbers, node.out.channels, node.params["seed"], x.dtype, keys)[0]

    def _lstm(self, node: Node, x: Tensor) -> Tensor:
        """`x`: input parts of gates i, f, g, o, biases included."""
        weight = torch.as_tensor(node.runs[0][0]).to(self.dtype)  # [hidden, 4 * hidden]
        h = cell = x.new_zeros(node.out.channels)
        rows = []
        for sums in x.T:
            i, f, g, o = (sums + h @ weight).chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(cell)
            rows.append(h)
        return torch.stack(rows, dim=1)

    def _gru(self, node: Node, x: Tensor) -> Tensor:
        """`x`: input parts of gates r, z, n."""
        (rz, _), (fresh, fresh_bias) = node.runs
        rz_weight, n_weight, n_bias = (torch.as_tensor(w).to(self.dtype)
                                       for w in (rz, fresh, fresh_bias))
        hidden = node.out.channels
        h = x.new_zeros(hidden)
        rows = []
        for sums in x.T:
            r, z = torch.sigmoid(sums[: 2 * hidden] + h @ rz_weight).chunk(2)
            n = torch.tanh(sums[2 * hidden :] + r * (h @ n_weight + n_bias))
            h = n + z * (h - n)
            rows.append(h)
        return torch.stack(rows, dim=1)


def tone_layer(node: Node) -> Streaming:
    """The layer that a pitch tracker or a bank of harmonics was lowered from."""
    p, numbers = node.params, [float(number) for number in torch.as_tensor(node.extra)]
    if node.kind == "pitch_track":
        threshold, octaves = numbers
        taps, reach = 2 * p["seed"] - 1, p["phases"] * p["groups"]
        return PitchTrack(p["stride"], MIDDLE_C_HZ * 2.0**octaves, p["kernel"] - taps + 1, reach,
                          threshold, p["groups"], taps, octave_check=bool(node.gate))
    rate_hz = TURN * MIDDLE_C_HZ / p["seed"]
    low, slope, start, rise = numbers
    return Harmonics(node.inputs[0].channels - 2, p["phases"], rate_hz, p["kernel"],
                     (low * rate_hz, (low + 1 / slope) * rate_hz), (start, start + 1 / rise))


def draw_layer(node: Node) -> Draw:
    """The layer that a drawing operation was lowered from."""
    names, channels = node.attributes, node.out.channels
    each = node.inputs[0].channels // channels
    seed, seed_attribute = int(node.params["seed"]), names.get("attr_seed", "")
    if node.kind == "categorical":
        return Categorical(each, channels, seed, names["attr_a"], names["attr_b"], seed_attribute)
    return LogisticMixture(each // 3, channels, node.slope, seed, names["attr_a"], seed_attribute)
