"""The demo's one-page report: figures, pictures and players, in a folder that can be moved."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.audio import read_audio
from engine.files import atomic_write
from engine.page import Row, image, table, write_page
from engine.players.base import FloatArray
from training.evaluation import sound_table
from training.evaluation.page import picture_parts, table_parts

NAMES = {
    "model": "the trained model", "untrained": "the same model before training",
    "noise_2048": "noise with 8 octave envelopes, frames of 2048",
    "noise_512": "noise, frames of 512", "noise_128": "noise, frames of 128",
    "silence": "silence",
}


def write_report(
    folder: Path, source: Path, sounds: list[Path], new: list[Path], commands: list[str],
    seconds: dict[str, float],
) -> Path:
    """`report.html` in `folder`, from the JSON files and sounds that the demo left there. `new`:
    loops from nothing, none where no preset makes some."""
    evaluation = json.loads((folder / "evaluation.json").read_text())
    verification = json.loads((folder / "verify.json").read_text())
    bench = json.loads((folder / "bench.json").read_text())
    plot_spectrograms([source, *sounds], folder / "spectrograms.png")
    plot_training(folder / "run" / "metrics.jsonl", folder / "training.png")
    parts = [
        "<h1>tudor: one walk through the house</h1>",
        _sentence(evaluation),
        "<h2>Listen</h2>",
        *[_player(path) for path in [source, *sounds]],
        image("spectrograms.png", "spectrograms of the held-out loop and of each output"),
        *table_parts(sound_table.grids(evaluation)),
        *picture_parts(sound_table.plots(evaluation), folder),
        "<h2>How near it comes, in figures</h2>",
        f"<p>{sound_table.NOTE}.</p>",
        f"<p>Means over {evaluation['files']} held-out files, {evaluation['seconds']:.0f} s. Lower "
        "is better but for the onset F.</p>",
        table(["", "spectral distance", "log-mel dB", "onset F", "level error dB"],
              [_score_row(name, scores) for name, scores in evaluation["results"].items()]),
        "<h2>Training</h2>", image("training.png", "loss over time"),
        "<h2>The exports, compared with offline PyTorch</h2>", _verification_table(verification),
        "<h2>Speed</h2>", _machine(bench["machine"]), _bench_table(bench["results"]),
        image("bench.png", "block times against the deadline"), *_new_loops(new, folder),
        "<h2>The commands</h2>",
        f"<pre>{html.escape(chr(10).join(commands))}</pre>",
        table(["step", "seconds"], [[step, f"{s:.1f}"] for step, s in seconds.items()]),
    ]
    return write_page(folder / "report.html", "tudor demo", parts)


def _new_loops(new: list[Path], folder: Path) -> list[str]:
    if not new:
        return []
    plot_spectrograms(new, folder / "new_loops.png")
    return ["<h2>New loops that nobody trained on</h2>", *map(_player, new),
            image("new_loops.png", "spectrograms of new loops")]


def _sentence(evaluation: dict[str, Any]) -> str:
    subjects = evaluation["sound"]["subjects"]
    model, noise, late = (subjects[k]["energy_score"] for k in ("model", "noise_128", "shifted"))
    texture, real = (subjects[k]["texture_db"] for k in ("model", "original"))
    told = (f"On loops it has never heard, the model's energy score is <b>{model:.3f}</b>: "
            f"{model / noise:.2f} of noise shaped by the input's own octave-band levels "
            f"({noise:.3f}); the original a millisecond late has {late:.3f}. ")
    if texture is not None and real is not None:
        told += f"Its texture is {texture:.1f} dB, the original's {real:.1f} dB."
    return f"<p>{told}</p>"


def _player(path: Path) -> str:
    peak, rms, quiet = levels(read_audio(path)[0])
    return (f'<div class="row"><audio controls src="{path.name}"></audio> '
            f"{html.escape(path.name)}: peak {peak:.1f} dBFS, RMS {rms:.1f} dBFS, "
            f"{100 * quiet:.0f} % of it below -60 dBFS</div>")


def levels(audio: FloatArray) -> tuple[float, float, float]:
    """Peak and RMS in dBFS, and the share of 10 ms-like frames (160 samples) below -60 dBFS."""
    floor = 1e-6
    count = audio.shape[1] // 160 * 160
    frames = audio[:, :count].reshape(audio.shape[0], -1, 160)
    rms = np.sqrt(np.square(frames).mean(axis=2))
    peak = 20 * np.log10(max(float(np.abs(audio).max()), floor))
    total = 20 * np.log10(max(float(np.sqrt(np.square(audio).mean())), floor))
    return peak, total, float((rms < 1e-3).mean()) if rms.size else 0.0


def _score_row(name: str, scores: dict[str, float]) -> Row:
    return [NAMES.get(name, name), f"{scores['spectral_distance']:.3f}",
            f"{scores['log_mel_db']:.1f}", f"{scores['onset_f']:.2f}",
            f"{scores['level_error_db']:.1f}"]


def _verification_table(reports: list[dict[str, Any]]) -> str:
    rows = []
    for report in reports:
        for name, method in report["methods"].items():
            snr = method["snr_db"]
            rows.append([
                Path(report["file"]).name, name, f"{method['max_abs_error']:.1e}",
                "exact" if snr is None else f"{snr:.0f}",
                "passed" if report["passed"] else "FAILED",
            ])
    return table(["file", "method", "largest error", "SNR dB", ""], rows)


def _machine(machine: dict[str, Any]) -> str:
    facts = ", ".join(str(machine[k]) for k in ("cpu", "cores", "os") if machine.get(k))
    return f"<p>{html.escape(facts)}. Processing time over audio time, one thread.</p>"


def _bench_table(results: list[dict[str, Any]]) -> str:
    rows = [
        [f"{Path(r['file']).name}", str(r["block_samples"]), f"{r['rtf_p50']:.4f}",
         f"{r['rtf_p99']:.4f}", f"{r['block_ms_max']:.2f}", str(r["deadline_misses"]),
         f"{r['cold_start_ms']:.0f}" if r["cold_start_ms"] is not None else "-"]
        for r in results
    ]
    return table(["file", "block", "RTF p50 (lower is better)", "RTF p99", "worst block ms",
                  "deadlines missed", "cold start ms"], rows)


def plot_spectrograms(paths: list[Path], out: Path) -> None:
    """One log-frequency spectrogram per file, above each other on one time axis, 90 dB deep."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(paths), 1, figsize=(11, 2.3 * len(paths)), sharex=True,
                                layout="constrained", squeeze=False)
    for axis, path in zip(axes[:, 0], paths, strict=True):
        audio, rate = read_audio(path)
        axis.specgram(audio.mean(axis=0) + 1e-9, NFFT=1024, Fs=rate, noverlap=768, vmin=-130,
                      vmax=-40, cmap="magma")
        axis.set_yscale("symlog", linthresh=200)
        axis.set_ylim(30, rate / 2)
        axis.set_yticks([50, 100, 200, 500, 1000, 2000, 5000])
        axis.set_yticklabels(["50", "100", "200", "500", "1k", "2k", "5k"])
        axis.set_ylabel("Hz")
        axis.set_title(path.name, loc="left", fontsize=10)
    axes[-1, 0].set_xlabel("seconds")
    _save(figure, out)


def plot_training(metrics: Path, out: Path) -> None:
    """Losses of the run over training time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in metrics.read_text().splitlines() if line.strip()]
    key = next((key for key in ("energy_score", "spectral_distance")
                if any(key in row for row in rows)), "loss")
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for kind, label, marker in (("train", "training crops", None),
                                ("validation", "validation (averaged weights)", "o")):
        points = [(r["seconds"] / 60, r[key]) for r in rows if r["kind"] == kind and key in r]
        if points:
            axis.plot(*zip(*points, strict=True), label=label, marker=marker, markersize=4)
    axis.set_xlabel("minutes")
    axis.set_ylabel(key.replace("_", " "))
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, out)


def _save(figure: Any, out: Path) -> None:
    from matplotlib import pyplot as plt

    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
