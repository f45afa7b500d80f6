"""What verification found of a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

# Numbers in fewer bits err by more, and by how much depends on the model: the export itself tells,
# on music. Here, on noise as loud as that music but of another kind, only a broken file stays below
# these.
LEAST_SNR_DB = {"bf16w": 15.0, "q16x8": 6.0, "int8": 3.0}


@dataclass(frozen=True)
class MethodReport:
    """How far the streamed output of a method is from offline PyTorch, over all passes.

    `float32_error` is how far PyTorch's own float32 is from float64 on the same input: an export
    that adds in another order cannot be closer than about twice that. `guarded_error` is the
    largest error where the input is wrong (NaN, infinity, 1e30); the others leave that out."""

    method: str
    max_abs_error: float
    snr_db: float
    peak: float
    float32_error: float
    guarded_error: float
    frames: int
    passed: bool
    consistent: bool = True  # quantised: streamed as in one block (native: fast as plain C, bits)
    # Of a method that draws what it puts out; `max_abs_error` is then the largest miss of a draw.
    draws: int = 0
    same_draws: int = 0
    mean_miss: float = 0.0


@dataclass(frozen=True)
class Report:
    """The verification of one file. `problem` says why it failed before or besides figures."""

    file: str
    backend: str
    tolerance: float
    methods: dict[str, MethodReport] = field(default_factory=dict)
    problem: str = ""
    dtype: str = "float32"

    @property
    def least_snr_db(self) -> float:
        """What is asked of a quantised file; float32 must keep to the tolerance instead."""
        return LEAST_SNR_DB.get(self.dtype, -inf)

    @property
    def passed(self) -> bool:
        """True when every method was compared and stays within the tolerance."""
        return not self.problem and bool(self.methods) and all(
            m.passed for m in self.methods.values()
        )

    @property
    def max_abs_error(self) -> float:
        """The worst method's error; `inf` when nothing could be compared."""
        return max((m.max_abs_error for m in self.methods.values()), default=inf)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; endless ones become null."""
        methods = {
            name: {k: None if v in (inf, -inf) else v for k, v in asdict(m).items()}
            for name, m in self.methods.items()
        }
        return {"file": self.file, "backend": self.backend, "dtype": self.dtype,
                "tolerance": self.tolerance if self.dtype == "float32" else None,
                "least_snr_db": LEAST_SNR_DB.get(self.dtype),
                "passed": self.passed, "problem": self.problem, "methods": methods}
