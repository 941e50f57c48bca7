"""Ports of a stack: free when chosen, kept over restarts, and pairs that stay together."""

import socket
from pathlib import Path

import pytest

from sandbox.devnets import ports
from sandbox.devnets.ports import (
    LOOPBACK,
    PortInUse,
    Ports,
    PortWantedTwice,
    Wanted,
    any_free,
    check,
)


def taken(port: int = 0) -> socket.socket:
    holder = socket.socket()
    holder.bind((LOOPBACK, port))
    holder.listen()
    return holder


def test_all_wanted_ports_that_are_taken_are_named_with_the_options_for_others() -> None:
    with taken() as first, taken() as second:
        api, evm = (holder.getsockname()[1] for holder in (first, second))
        wanted = [
            Wanted("the API", api, "--port"),
            Wanted("the node", any_free(), "--node-port"),
            Wanted("EVM", evm, "--evm-port"),
        ]
        with pytest.raises(PortInUse) as refused:
            check(wanted)
    assert refused.value.message == (
        f"ports {api} for the API and {evm} for EVM are in use by other programs"
    )
    assert "--port and --evm-port" in refused.value.remedy
    assert "--node-port" not in refused.value.remedy


def test_one_port_for_two_parts_is_refused_with_both_options() -> None:
    port = any_free()
    wanted = [Wanted("the API", port, "--port"), Wanted("EVM", port, "--evm-port")]
    with pytest.raises(PortWantedTwice, match="for the API and for EVM") as refused:
        check(wanted)
    assert "--port or --evm-port" in refused.value.remedy


def test_no_part_is_given_a_port_that_another_one_wants(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    former = Ports(tmp_path / "before").get("the node")
    (tmp_path / "before" / "ports.json").rename(tmp_path / "ports.json")
    found = Ports(tmp_path, [Wanted("the API", former)])
    assert found.get("the node") != former
    assert found.get("the API") == former


def test_what_was_chosen_and_lost_to_another_program_is_chosen_anew(tmp_path: Path) -> None:
    found = Ports(tmp_path)
    alone, first = found.get("the API"), found.pair("the node", "the stream")
    assert not found.choose_again("the API", "the node")
    with taken(alone), taken(first + 1):
        assert found.choose_again("the API", "the node")
        assert found.get("the API") != alone
        again = found.pair("the node", "the stream")
        assert {again, again + 1}.isdisjoint({first, first + 1})
        assert found.get("the stream") == again + 1


def test_a_wanted_port_that_is_lost_to_another_program_is_refused(tmp_path: Path) -> None:
    port = any_free()
    found = Ports(tmp_path, [Wanted("the API", port, "--port")])
    assert found.get("the API") == port
    with taken(port), pytest.raises(PortInUse, match=f"port {port} for the API"):
        found.choose_again("the API")


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
