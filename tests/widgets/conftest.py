"""What the tests of widgets share."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from rtwidgets.widgets.scripts import CHART


@pytest.fixture
def node(tmp_path: Path):
    """Runs a module in Node, beside the charts' as `chart.mjs`, and returns the JSON that it prints."""
    if shutil.which("node") is None:
        pytest.fail("Node.js is missing: install nodejs and npm, then run `make test`")
    (tmp_path / "chart.mjs").write_text(CHART)

    def node(script: str):
        (tmp_path / "script.mjs").write_text(script)
        done = subprocess.run(
            ["node", tmp_path / "script.mjs"], capture_output=True, text=True, timeout=60, check=False
        )
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return node
