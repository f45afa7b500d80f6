"""What several of these files start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from common_models import vae


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "a.tudor").write_bytes(vae())
    return folder
