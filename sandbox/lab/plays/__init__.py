"""Scenarios of business: sequences of real acts, whose events are told by those who always do."""

from collections.abc import Mapping
from typing import Final

from sandbox.lab.plays import (
    authority,
    days,
    intakes,
    merchants,
    minting,
    paying,
    reserve,
    settling,
    trouble,
)
from sandbox.lab.stage import Play

PLAYS: Final[Mapping[str, Play]] = {
    **paying.PLAYS,
    **settling.PLAYS,
    **merchants.PLAYS,
    **days.PLAYS,
    **trouble.PLAYS,
    **reserve.PLAYS,
    **minting.PLAYS,
    **intakes.PLAYS,
    **authority.PLAYS,
}
