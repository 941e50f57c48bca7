"""How a run with several workers is spread: files that share a running sandbox go to one worker."""

from xdist.scheduler import LoadFileScheduling

# One stack serves each of these folders; with a file here and a file there each worker started it.
_TOGETHER = ("tests/doors/", "tests/journeys/", "tests/worlds/")
# The longest, so that nobody has one left when the others are done; they wait more than they work.
FIRST = ("tests/journeys/", "tests/docs/test_pages.py", "tests/worlds/")


class Spread(LoadFileScheduling):
    """As `--dist loadfile`, but for folders that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in _TOGETHER if file.startswith(folder)), file)
