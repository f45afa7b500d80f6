"""What several of these files start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.onnx.export import export_onnx
from tests.export.small_models import small_model


@pytest.fixture
def mono(tmp_path: Path) -> tuple[Path, Any]:
    """The file of a small model, and the model."""
    net = small_model()
    path = tmp_path / "x.onnx"
    export_onnx(net, path, net.describe("small", {"weights_sha256": "abc"}))
    return path, net
