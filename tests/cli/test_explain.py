"""What the command makes of an id, without a sandbox."""

import pytest

from sandbox.cli.explain import NotExplained, path_of


@pytest.mark.parametrize("id_", ["", "pay", "we_1", "req_1", "x_1", "pay_1/../../x", "pay_1?a=b"])
def test_what_has_no_explanation_is_refused_with_what_has(id_: str) -> None:
    with pytest.raises(NotExplained, match="cs_…, pay_…"):
        path_of(id_)


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("cs_1", "/v1/checkout/sessions/cs_1/explain"),
        ("mov_1", "/v1/reserve/moves/mov_1/explain"),
        ("wd_1", "/v1/webhook_deliveries/wd_1/explain"),
        ("fau_1", "/v1/sandbox/faucet/fau_1/explain"),
    ],
)
def test_the_prefix_of_an_id_picks_the_route(id_: str, path: str) -> None:
    assert path_of(id_) == path
