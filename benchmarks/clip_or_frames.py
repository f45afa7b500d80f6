"""What stands between a generator of spectrograms and real time (document 004): a whole clip and
Griffin-Lim beside frames and `Resynth`.

    python -m benchmarks.clip_or_frames [MODEL] [--rounds 5] [--json FILE]

Each makes a second of sound at the model's rate, on one thread; figures are processor time over
that second, medians. The clip's generator is of the DCGAN's kind (Radford et al. 2016; with the
sizes of GANSynth, Engel et al. 2019, thinned out): untrained, for weights do not change what it
costs. Griffin-Lim (1984) is torchaudio's. An emulated Cortex-M7's share is what `tudor fit` models.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from engine.boards.fit import fit
from engine.boards.fit_command import read_task
from engine.errors import ConfigError
from engine.files import atomic_write
from engine.friendly import friendly
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.store import Stored, load_model
from engine.players.base import Player, load
from engine.players.pytorch import PyTorchPlayer
from engine.reports import model_facts
from engine.scores.strokes import in_turn
from export.targets import TARGETS, export_model

SECONDS = 1.0
LATENTS = 128
WIDTHS = (128, 96, 64, 48, 32)  # of the layers, the first at 1/16 of the clip's size
EVERY_ROWS = 90  # from stroke to stroke
M7_HZ = 480e6
# What a Cortex-M7 multiplies in a cycle at best, in float32: one, if nothing had to be read.
M7_MACS_A_CYCLE = 1.0
GRIFFIN_LIM = (32, 100)


class ClipGenerator(nn.Module):
    """[batch, LATENTS] -> log-magnitudes [batch, bins, frames] of a clip, all at once."""

    def __init__(self, bins: int, frames: int) -> None:
        super().__init__()
        scale = 2 ** (len(WIDTHS) - 1)
        self.bins, self.frames = bins, frames
        self.first = (-(-bins // scale), -(-frames // scale))
        self.enter = nn.Linear(LATENTS, WIDTHS[0] * self.first[0] * self.first[1])
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2, 1)
            for before, after in zip(WIDTHS, (*WIDTHS[1:], 1), strict=True))
        # The last layer has the clip's own size: it does not enlarge.
        self.layers[-1] = nn.Conv2d(WIDTHS[-1], 1, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.enter(z).unflatten(1, (WIDTHS[0], *self.first))
        for layer in self.layers:
            x = layer(torch.relu(x))
        return x[:, 0, : self.bins, : self.frames]

    def macs(self) -> float:
        """Multiplications of a clip."""
        places, found = self.first[0] * self.first[1], 0.0
        found += LATENTS * WIDTHS[0] * places
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
            weights = float(layer.weight.numel())
            found += weights * places  # of a transposed one, each input meets every weight
            places *= 4 if isinstance(layer, nn.ConvTranspose2d) else 1
        return found


def spent(work: Callable[[], object], rounds: int) -> float:
    """Processor time of `work` over the second that it makes: median after a first time."""
    work()
    found = []
    for _ in range(rounds):
        began = process_time()
        work()
        found.append(process_time() - began)
    return median(found) / SECONDS


def of_clip(model: SpectrogramGAN, rounds: int) -> list[dict[str, Any]]:
    """Rows of the clip's generator and of its way back to sound."""
    from torchaudio.functional import griffinlim

    config = model.config
    frames = round(SECONDS * config.sample_rate_hz / config.hop)
    generator = ClipGenerator(config.bins, frames).eval()
    z = torch.randn(1, LATENTS, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        pytorch = spent(lambda: generator(z), rounds)
        path = Path(folder) / "clip.onnx"
        torch.onnx.export(generator, (z,), str(path), dynamo=False)
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = 1
        session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: z.numpy()}
        onnx = spent(lambda: session.run(None, feed), rounds)
        magnitudes = generator(z).exp()
        window = torch.hann_window(config.fft)
        def back(count: int) -> Tensor:
            return griffinlim(magnitudes, window, config.fft, config.hop, config.fft, 1.0, count,
                              0.0, None, True)

        inverted = {count: spent(partial(back, count), max(1, rounds // 2))
                    for count in GRIFFIN_LIM}
    macs = generator.macs()
    rows = [{"what": "clip generator", "macs_per_second": macs / SECONDS, "pytorch": pytorch,
             "onnx": onnx, "m7": macs / SECONDS / M7_HZ / M7_MACS_A_CYCLE,
             "m7_how": "arithmetic alone, at least", "waits": "the whole clip"}]
    for count, value in inverted.items():
        rows.append({"what": f"Griffin-Lim, {count} rounds", "pytorch": value,
                     "waits": "the whole clip"})
    return rows


def of_frames(name: str, stored: Stored, rounds: int) -> list[dict[str, Any]]:
    """The row of frames that become sound as they come."""
    model = stored.model
    assert isinstance(model, SpectrogramGAN)
    config = model.config
    count = round(SECONDS * config.sample_rate_hz / config.hop)
    facts = model_facts(name)
    x = in_turn(config.labels, config.classes, count, EVERY_ROWS)
    row: dict[str, Any] = {"what": "frame generator and Resynth",
                           "macs_per_second": facts["methods"][model.main.name]["macs_per_second"],
                           "waits": f"{1000 * config.fft / config.sample_rate_hz:.0f} ms"}

    def timed(player: Player) -> float:
        return spent(lambda: player.process(player.description.main.name, x), rounds)

    with tempfile.TemporaryDirectory() as folder:
        row["pytorch"] = timed(PyTorchPlayer(model, 1, 1))
        for target, suffix in (("onnx", "onnx"), ("native", "tudor")):
            path = Path(folder) / f"model.{suffix}"
            export_model(stored, TARGETS[target], path)
            row[target] = timed(load(path, 1, 1))
        native = str(Path(folder) / "model.tudor")
        found = fit(read_task(native), "daisy", "q16x8")
    row["m7"], row["m7_how"] = found.loads.whole.high, "in q16x8, at most"
    return [row]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """As Markdown."""
    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.2g}"

    lines = ["| | MMAC for a second | PyTorch | ONNX Runtime | native | Cortex-M7, modelled | "
             "waits for |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        macs = row.get("macs_per_second")
        m7 = row.get("m7")
        lines.append(" | ".join((
            f"| {row['what']}", "-" if macs is None else f"{macs / 1e6:.0f}",
            *(cell(row.get(key)) for key in ("pytorch", "onnx", "native")),
            "-" if m7 is None else f"{cell(m7)} ({row['m7_how']})", f"{row['waits']} |")))
    return lines


def clip_or_frames(
    model: Annotated[str, typer.Argument(help="a drum voice: preset or run")] = "drums",
    rounds: Annotated[int, typer.Option(min=1, help="of which the median is told")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="figures, to a file")] = None,
) -> None:
    """Real-time factors of a clip's generator with Griffin-Lim, and of frames with Resynth."""
    torch.set_num_threads(1)
    stored = load_model(model)
    if not isinstance(stored.model, SpectrogramGAN):
        raise ConfigError(f"{model}: family {stored.model.family!r} is no voice of frames; wanted "
                          "one of spectrogram_gan, such as the preset drums")
    rows = [*of_clip(stored.model, rounds), *of_frames(model, stored, rounds)]
    if json_file is not None:
        with atomic_write(json_file) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    with friendly():
        typer.run(clip_or_frames)
