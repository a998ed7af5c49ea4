"""What is built is whole: a wheel without the checkout beside it runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("llmtop_run-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_runs_the_demo_from_another_folder(installed: Path, tmp_path: Path) -> None:
    site = ["-c", f"import sys; sys.path.insert(0, {str(installed)!r}); import llmtop_tui.cli as c; c.main()"]
    words = ["demo", "--display", "plain", "--limit", "4", "--home", str(tmp_path / "home")]

    ran = subprocess.run(
        [sys.executable, *site, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    assert "done 4" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_the_wheel_holds_both_packages_their_types_and_the_samples(installed: Path) -> None:
    for name in (
        "llmtop/py.typed",
        "llmtop_tui/py.typed",
        "llmtop_tui/app.tcss",
        "llmtop/sample_configs/quickstart.toml",
        "llmtop/sample_configs/data/proverbs.jsonl",
    ):
        assert (installed / name).is_file(), name
