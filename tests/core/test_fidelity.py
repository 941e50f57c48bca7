"""`Sandbox-Fidelity`: a row for every route, only parts that are known, and on real answers."""

import re

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from sandbox.core.http import roles
from sandbox.core.http.fidelity import (
    CHAINS,
    HEADER,
    PARTS_OF,
    Fidelity,
    FidelityMiddleware,
    parts_of,
)
from sandbox.lab.fidelity import PIECES, described

LEVELS = {piece.name: piece.level for piece in PIECES}
# RFC 9651, sections 3.2 and 3.3.4: keys and tokens.
MEMBER = re.compile(r"[a-z*][a-z0-9_.*-]*=[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")


def fidelity() -> Fidelity:
    return Fidelity(LEVELS, ["solana", "evm"], ["evm"])


@pytest.mark.parametrize("route", [route for route in roles.RULES if route[1].startswith("/v1/")])
def test_every_route_of_the_api_has_its_parts(route: tuple[str, str]) -> None:
    assert parts_of(route[1]), f"sandbox/core/http/fidelity.py has no row for {route[1]}"


def test_every_part_of_the_table_has_statements() -> None:
    named = {part for parts in PARTS_OF.values() for part in parts}
    assert named - {CHAINS} == set(LEVELS)


def test_the_longest_begin_counts_and_it_ends_where_a_segment_does() -> None:
    assert parts_of("/v1/sandbox/bank/credits") == PARTS_OF["/v1/sandbox/bank"]
    assert parts_of("/v1/payments/{payment_id}/explain") == PARTS_OF["/v1/payments"]
    assert parts_of("/v1/paymentsx") == ()
    assert parts_of("/pay/{session_id}") == ()


def test_the_header_is_a_dictionary_that_names_each_configured_chain() -> None:
    told = (fidelity().header("/v1/payouts") or b"").decode()
    assert all(MEMBER.fullmatch(member) for member in told.split(", "))
    assert told == (
        "database=real, clock=simulated, ledger=real, log=real, solana=real, evm=simulated,"
        " bank=simulated"
    )


def test_every_part_that_a_header_may_name_is_described() -> None:
    found = {part["part"]: part for part in described(fidelity().levels, ["solana", "evm"])}
    assert set(found) == {*LEVELS, "solana", "evm"}
    assert all(part["lines"] for part in found.values())
    assert (found["solana"]["level"], found["evm"]["level"]) == ("real", "simulated")


async def test_answers_carry_it_and_refusals_at_the_door_do_not() -> None:
    router = APIRouter()

    @router.get("/v1/payments/{payment_id}")
    async def read(payment_id: str) -> dict[str, str]:
        return {"id": payment_id}

    @router.get("/v1/payouts", status_code=401)
    async def refused() -> dict[str, str]:
        return {}

    @router.get("/healthz")
    async def health() -> dict[str, str]:
        return {}

    app = FastAPI()
    app.add_middleware(FidelityMiddleware)
    app.include_router(router)
    app.state.fidelity = fidelity()
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        told = [
            (await http.get(path)).headers.get(HEADER, "")
            for path in ("/v1/payments/pay_1", "/v1/payouts", "/healthz", "/v1/nothing")
        ]
    assert told[0].startswith("database=real, clock=simulated, ledger=real")
    assert told[1:] == ["", "", ""]
