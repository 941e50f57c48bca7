"""Ports of a stack: free when chosen, kept over restarts, and pairs that stay together."""

import socket
from pathlib import Path

import pytest

from sandbox.devnets import ports
from sandbox.devnets.ports import LOOPBACK, PortInUse, Ports


def taken(port: int = 0) -> socket.socket:
    holder = socket.socket()
    holder.bind((LOOPBACK, port))
    holder.listen()
    return holder


def test_a_wanted_pair_whose_second_port_is_taken_is_refused_by_name(tmp_path: Path) -> None:
    with taken() as second:
        port = second.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} for the stream"):
            Ports(tmp_path).pair("the node", "the stream", port - 1)


def test_a_free_pair_is_found_beside_taken_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken() as second:
        blocked = second.getsockname()[1] - 1
        (tmp_path / "before").mkdir()
        free = Ports(tmp_path / "before").pair("the node", "the stream")
        offered = iter([blocked, blocked, free])
        monkeypatch.setattr(ports, "any_pair", lambda: next(offered))
        assert Ports(tmp_path).pair("the node", "the stream") == free


def test_a_pair_stays_the_same_for_the_run_and_over_restarts(tmp_path: Path) -> None:
    first = Ports(tmp_path)
    port = first.pair("the node", "the stream")
    assert first.pair("the node", "the stream") == port
    assert first.get("the stream") == port + 1
    assert Ports(tmp_path).pair("the node", "the stream") == port


def test_a_former_pair_that_is_taken_now_gives_way_to_another(tmp_path: Path) -> None:
    port = Ports(tmp_path).pair("the node", "the stream")
    with taken(port + 1):
        again = Ports(tmp_path)
        assert again.pair("the node", "the stream") != port
