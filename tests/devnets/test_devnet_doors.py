"""Where a devnet cannot listen."""

import pytest

from sandbox.devnets.doors import PortTaken, listen


@pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(PortTaken, match=f"{host} is no address of this machine"):
        listen(host, 0)
