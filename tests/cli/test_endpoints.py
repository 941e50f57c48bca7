"""What the command line passes on of a refusal: the API's words, and what was probably meant."""

from sandbox.cli.endpoints import ApiError


def test_of_the_names_that_there_are_those_like_the_sent_one_are_told() -> None:
    problem = {"code": "fault_unknown", "detail": "no fault x", "known": ["bank.delay", "api.slow"]}
    assert "did you mean bank.delay?" in str(ApiError(problem, {"fault": "bank.delya"}).detail)
    assert "there are bank.delay, api.slow" in ApiError(problem, {"fault": "frost"}).detail
    assert "there are bank.delay, api.slow" in ApiError(problem).detail


def test_every_field_that_does_not_fit_is_told_with_its_reason() -> None:
    wrong = [{"param": "/body/name", "message": "too long"}, {"param": "/body/x", "message": "no"}]
    refused = ApiError({"code": "invalid_request", "detail": "the request", "errors": wrong})
    assert refused.detail == "invalid_request: the request; /body/name: too long; /body/x: no"
