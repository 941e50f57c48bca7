"""The one table of magic values: amounts, payers, accounts, headers."""

from typing import Any

from sandbox.bank.faults import MAGIC_ACCOUNTS
from sandbox.core.http.simulating import SIMULATIONS
from sandbox.lab.scenarios import PAYERS


def table() -> dict[str, Any]:
    """What the API serves and the documentation lists."""
    return {
        "object": "magic_values",
        "amount_endings": [
            {"ending": f"{one.ending:02d}", "payer": one.name, "does": one.does}
            for one in PAYERS
            if one.ending is not None
        ],
        "payers": [{"payer": one.name, "does": one.does} for one in PAYERS],
        "bank_accounts": [
            {"account_begins": begins, "does": does} for begins, (_, does) in MAGIC_ACCOUNTS.items()
        ],
        "headers": [
            {"header": "Sandbox-Simulate", "value": name, "does": does}
            for name, does in SIMULATIONS.items()
        ],
    }
