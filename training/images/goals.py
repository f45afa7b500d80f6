"""What is asked of networks of pictures after five minutes of processor time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from training.evaluation.targets import Result, Target, Verdict, above, below

# At least, at most: by set.
CLASSES = {"mnist": 0.985, "fashion": 0.90}
NATS = {"mnist": 108.0, "fashion": 243.0}
ASKED = {"mnist": 0.97, "fashion": 0.85}
FRECHET, RECALL = 0.25, 0.5
PAIRS = (("vae", "wae"), ("vae", "wae-rbf"), ("vae", "wae-mixture"), ("vae-conv", "wae-conv"))


def _of(name: str, key: str) -> Callable[[Result], float | None]:
    return lambda result: result["results"].get(name, {}).get(key)


def _difference(key: str, name: str, other: str) -> Callable[[Result], float | None]:
    def value(result: Result) -> float | None:
        one, two = (_of(which, key)(result) for which in (name, other))
        return None if one is None or two is None else one - two

    return value


def targets(name: str, set_name: str) -> Iterator[Target]:
    """Those of a network on a set."""
    def low(key: str, title: str, limit: float) -> Target:
        return Target(f"{name}_{key}", f"{name}: {title}", f"at most {limit:g}", _of(name, key),
                      below(limit), shown="{:.3g}")

    def high(key: str, title: str, limit: float) -> Target:
        return Target(f"{name}_{key}", f"{name}: {title}", f"at least {limit:g}", _of(name, key),
                      above(limit), shown="{:.3f}")

    known = set_name in CLASSES
    if name == "classifier" and known:
        yield high("accuracy", "share of held-out pictures whose class is seen", CLASSES[set_name])
    if name in ("vae", "vae-conv") and known:
        yield Target(f"{name}_nats", f"{name}: bound on held-out pictures, nats",
                     f"at most {NATS[set_name]:g}", _of(name, "nats"), below(NATS[set_name]),
                     shown="{:.1f}")
    if name != "classifier":
        yield low("frechet", "Fréchet distance of samples over the trace", FRECHET)
    if name in ("cgan", "cgan-seeking"):
        if known:
            yield high("accuracy", "share of samples of the class asked for", ASKED[set_name])
        yield high("recall", "recall of samples", RECALL)


def verdicts(names: list[str], set_name: str, result: Result) -> list[Verdict]:
    """What was found of every one."""
    wanted = [target for name in names for target in targets(name, set_name)]
    for vae, wae in PAIRS:
        if vae in names and wae in names:
            wanted += [Target(f"{wae}_less_{vae}_{key}", f"{wae} less {vae}: {title}", "at most 0",
                              _difference(key, wae, vae), below(0.0), shown=shown)
                       for key, title, shown in (
                           ("cross_entropy", "reconstruction, nats", "{:+.1f}"),
                           ("frechet", "Fréchet distance of samples", "{:+.3f}"))]
    return [Verdict(target, target.value(result)) for target in wanted]
