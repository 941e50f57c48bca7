"""Every shell command that a page tells a reader to type, typed: ```sh blocks, page by page.

A block whose fence says ```sh skip is not run here: it starts what the test has running already.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.stack import Stack

ROOT = Path(__file__).parents[2]
# They restore worlds, after which the log begins anew: other pages count from its beginning.
RESTORING = ["docs/testing.md", "docs/worlds.md"]
_OTHERS = {str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md")} - {*RESTORING}
PAGES = ["README.md", *sorted(_OTHERS), *RESTORING]
LINKED = [*PAGES, "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SCRIPT = re.compile(r"^```js\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("pages") / "sandbox")
    made.up()
    yield made
    made.down()


def script(page: str) -> str:
    """The blocks of a page as one shell session that names the line it is at when it fails."""
    text = (ROOT / page).read_text()
    blocks = [
        f"at={text.count(chr(10), 0, found.start()) + 1}\n{found[1]}"
        for found in BLOCK.finditer(text)
    ]
    assert blocks, f"{page} has nothing to type"
    stop = (
        "trap 'status=$?; [ $status = 0 ] || echo \"block at line $at\" >&2; kill $(jobs -p) || :'"
    )
    return "\n".join(["set -euo pipefail", f"{stop} EXIT", *blocks])


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_type_works_in_order(page: str, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    typed = subprocess.run(
        ["bash", "-c", script(page)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"SANDBOX_DATA_DIR": str(stack.data_dir)},
    )
    assert typed.returncode == 0, f"{page}\n{typed.stdout[-3000:]}\n{typed.stderr[-3000:]}"


@pytest.mark.parametrize("page", [p for p in PAGES if SCRIPT.search((ROOT / p).read_text())])
def test_the_javascript_of_a_page_runs(page: str, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    assert stack.running is not None
    endpoints = stack.running.endpoints
    url = {
        "SOLANA_RPC": endpoints["solana_rpc"],
        "API": endpoints["api"],
        "KEY": stack.running.key("merchant"),
    }
    for number, code in enumerate(SCRIPT.findall((ROOT / page).read_text())):
        file = tmp_path / f"{number}.mjs"
        file.write_text(code)
        ran = subprocess.run(
            ["node", str(file)], capture_output=True, text=True, timeout=60, env=os.environ | url
        )
        assert (ran.returncode, ran.stderr) == (0, ""), f"{page}\n{ran.stderr}"
        assert ran.stdout


def test_a_page_that_tells_a_lie_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```sh\ntrue\n```\n\n```sh\nfalse | cat\necho on\n```\n")
    typed = subprocess.run(["bash", "-c", script(str(page))], capture_output=True, text=True)
    assert typed.returncode == 1
    assert "block at line 7" in typed.stderr
    assert "on" not in typed.stdout


@pytest.mark.parametrize("page", LINKED)
def test_what_a_page_links_to_is_there(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
