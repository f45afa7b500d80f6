"""One benchmark run: load the files, time them by turns at each block size, gather figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fresh import cold_start
from benchmarks.machine import core_count, describe_machine, remeasure_peak
from benchmarks.measure import Times, alternate, block_count, burst_blocks, warm_up
from benchmarks.results import busy_note, file_result
from benchmarks.subject import FileSubject, label, playable_block
from engine.boards.cost import MethodCost, described_cost, method_cost
from engine.errors import ConfigError
from engine.players.base import Player, load

WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Request:
    """What is to be measured. Block sizes are in audio samples."""

    sources: Sequence[str]
    blocks: Sequence[int] = (128, 512, 2048)
    seconds: float = 10.0  # of audio, per file and block size
    threads: int = 1
    device: str = "cpu"
    method: str | None = None  # None: each model's main one
    warm_up_seconds: float = WARM_UP_SECONDS
    fresh: bool = True  # measure cold start and peak memory in fresh processes


@dataclass
class Report:
    """What was measured: the JSON's content, and what tables and plots want besides."""

    machine: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)  # one for each result
    notes: list[str] = field(default_factory=list)
    players: dict[str, Player] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The benchmark as plain data."""
        return {"machine": self.machine, "results": self.results, "notes": self.notes}


def measure_files(request: Request, say: Callable[[str], None] = lambda _: None) -> Report:
    """Measure every file at every block size; `say` is told what is going on."""
    check_device(request.device)
    players = _load(request)
    report = Report(describe_machine(request.threads), players=players)
    costs = {source: cost_of(player, request.method) for source, player in players.items()}
    fresh = {source: _fresh(request, players, source, say) for source in players}
    for block in request.blocks:
        subjects = {s: _subject(p, request, block, report.notes) for s, p in players.items()}
        say(f"blocks of {block} samples: warming up")
        medians = [warm_up(s, request.warm_up_seconds) for s in subjects.values()]
        shortest = min(s.deadline_ms for s in subjects.values()) / 1000
        count = block_count(request.seconds, shortest, max(medians))
        say(f"blocks of {block} samples: {count} blocks of each file, by turns")
        turn = burst_blocks(min(medians))
        report.times += alternate(list(subjects.values()), count, turn)
        for source, subject in subjects.items():
            report.results.append(
                _result(report, request, source, subject, costs[source], fresh[source])
            )
    report.notes += thread_notes(request, players)
    if request.device == "cpu" and request.threads == 1:
        report.notes += filter(None, [busy_note(_whole_blocks(report.results))])
    report.notes = list(dict.fromkeys(report.notes))
    _finish_peak(report, request)
    return report


def _whole_blocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose blocks all do the same work; through a host some do none."""
    return [row for row in rows if not row["through_host"]]


def check_device(device: str) -> None:
    """Fail early and clearly when the device is unknown or not there."""
    if device != "cpu" and device.split(":")[0] != "cuda":
        raise ConfigError(f"--device is cpu, cuda, cuda:N, ssh:HOST, m7 or aarch64, got {device!r}")
    if device != "cpu":
        from engine.players.pytorch import check_device as check

        check(device)


def cost_of(player: Player, method: str | None) -> MethodCost | None:
    """Counted cost of a method, or None for a file whose family cannot be built here."""
    model: Any = getattr(player, "model", None)
    if hasattr(model, "graph"):
        spec = player.description.method(method)
        return method_cost(model.graph(spec.name), player.sample_rate_hz / spec.in_ratio)
    try:
        return described_cost(player.description, method)
    except (ConfigError, ImportError):  # a family of a newer version, or no PyTorch here
        return None


def _load(request: Request) -> dict[str, Player]:
    players = {}
    for source in dict.fromkeys(request.sources):
        player = load(source, threads=request.threads, device=request.device)
        player.description.method(request.method)  # a missing method is an error now, not later
        players[source] = player
    return players


def _fresh(
    request: Request, players: dict[str, Player], source: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Cold start and memory of one file, taken once, with the first block size."""
    if not request.fresh:
        return {"cold_start_ms": None}
    say(f"{label(source)}: cold start in a fresh process")
    # A whole multiple of the ratio, or the first block might be held back and cost nothing.
    spec = players[source].description.method(request.method)
    block = -(-request.blocks[0] // spec.ratio) * spec.ratio
    return cold_start(source, spec.name, block, request.threads, request.device)


def _subject(player: Player, request: Request, block: int, notes: list[str]) -> FileSubject:
    method = player.description.method(request.method).name
    size = playable_block(player, method, block)
    if size != block:
        notes.append(f"{player.name}.{method} takes whole frames: blocks of {block} "
                     f"samples were raised to {size}")
    subject = FileSubject(player, method, size)
    if subject.host:
        notes.append(
            f"blocks of {size} samples are no multiple of {player.name}'s ratio "
            f"{subject.host.spec.ratio}: they go through a host that regroups them and adds "
            f"{subject.host.added_latency_samples} samples; deadlines are the host's blocks"
        )
    player.reset()
    return subject


def _result(
    report: Report, request: Request, source: str, subject: FileSubject,
    cost: MethodCost | None, fresh: dict[str, Any],
) -> dict[str, Any]:
    """The row for the times that stand at the same place in `report.times`."""
    threads = threads_of(subject.player, request.threads)
    peak = peak_gflops(report, request, threads)
    times = report.times[len(report.results)]
    row = file_result(source, subject, times, cost, peak, request.device, fresh)
    return {**row, "threads": threads}


def threads_of(player: Player, asked: int) -> int:
    """On how many threads a player computes when so many are asked for."""
    return 1 if player.one_thread else asked


def thread_notes(request: Request, players: dict[str, Player]) -> list[str]:
    """What --threads does not do here."""
    asked, notes = request.threads, []
    single = [label(s) for s, player in players.items() if threads_of(player, asked) < asked]
    if single:
        notes.append(f"{', '.join(single)}: the native runtime computes on one thread, not "
                     f"{asked}; its share of the peak is that of one core")
    cores = core_count()
    if asked > cores and len(single) < len(players):
        notes.append(f"{asked} threads on {cores} cores take turns, which slows them down; shares "
                     f"of the peak are those of {cores} cores")
    return notes


def peak_gflops(report: Report, request: Request, threads: int) -> float:
    """Peak in GFLOP/s of what the model may use: as many cores as it has threads, or the GPU."""
    if request.device.startswith("cuda"):
        if "device_peak_gflops" not in report.machine:
            from benchmarks.peak import cuda_peak

            peak = cuda_peak(request.device)
            report.machine["device_peak_gflops"] = peak.gflops
            report.machine["device_peak_method"] = peak.method
        return float(report.machine["device_peak_gflops"])
    return float(report.machine["peak_gflops"]) * min(threads, core_count())


def _finish_peak(report: Report, request: Request) -> None:
    """Shares of the better of two measured peaks: before and after the timing."""
    remeasure_peak(report.machine)
    for row in report.results:
        if row["gflops"] is not None:
            row["peak_share"] = row["gflops"] / peak_gflops(report, request, row["threads"])
