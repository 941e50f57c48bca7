"""The sample project, run as its pipeline runs it: from nothing to three green tests."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.merchants.test_pytest_sandbox import user_environment

SAMPLE = Path(__file__).parents[2] / "merchants" / "sample"


@pytest.mark.long
def test_the_sample_is_green_as_its_pipeline_runs_it(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(SAMPLE, shop, ignore=shutil.ignore_patterns(".pytest_cache", "__pycache__"))
    found = re.search(r"run: (\S+/python) (-m pytest .+)", (SAMPLE / "ci.yml").read_text())
    assert found is not None
    done = subprocess.run(
        [sys.executable, *shlex.split(found[2])],
        cwd=shop,
        capture_output=True,
        text=True,
        timeout=240,
        env=user_environment(tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    cases = ElementTree.parse(shop / "report.xml").iter("testcase")
    worlds = [
        {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        for case in cases
    ]
    assert [each["sandbox_world"] for each in worlds] == ["fresh"] * 3
    assert [each["sandbox_epoch"] for each in worlds] == ["1", "2", "3"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop"]  # the data is gone
