"""What the API and the log show of merchants, fee plans and API keys."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from sandbox.core.http.roles import Role
from sandbox.core.shapes import Day, FreeText, MerchantId, Time, Tiyn, one_of, states
from sandbox.parties import models
from sandbox.parties.signs import District


class Merchant(TypedDict):
    """Who sells: where its money goes, and on which terms."""

    object: Literal["merchant"]
    id: MerchantId
    name: str
    bin: str
    iban: str
    knp: str
    kbe: str
    fee_bps: int
    confirm_policy: Annotated[str, states(models.Merchant, "confirm_policy")]
    settlement_mode: Annotated[str, states(models.Merchant, "settlement_mode")]
    split_bps: int | None
    wallets: dict[str, str]
    refund_reserve_tiyn: Tiyn
    cut_off: str
    schedule: Annotated[str, states(models.Merchant, "schedule")]
    category: str | None
    district: Annotated[str, one_of(District)] | None
    zone: bool | None
    languages: list[str] | None
    status: Annotated[str, states(models.Merchant, "status")]
    status_reason: FreeText | None
    created_at: Time


class FeePlan(TypedDict):
    """One version of a merchant's fee; amounts include VAT."""

    object: Literal["fee_plan"]
    merchant: MerchantId
    version: int
    fee_bps: int
    fixed_tiyn: Tiyn
    minimum_tiyn: Tiyn
    from_at: Time
    offered_at: Time
    consented_at: Time | None
    in_force_at: Time | None


class ApiKey(TypedDict):
    """A key without anything that could be used to call."""

    object: Literal["api_key"]
    id: str
    prefix: str
    name: str | None
    role: Annotated[str, one_of(Role)]
    party: str
    permissions: list[str] | None
    api_version: Day
    seeded: bool
    created_at: Time
    expires_at: Time | None
    rotated_at: Time | None
    previous_until: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class ApiKeyWithSecret(ApiKey):
    """A key as the one answer shows it that made its secret."""

    key: str | None
