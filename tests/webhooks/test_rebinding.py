"""DNS rebinding with a real resolver: the address that was checked is the one connected to."""

import json
import subprocess
import sys

import pytest

from tests.webhooks.rebinding import ANSWERS, NAME, PUBLIC

# A network and system files of its own, which nobody else sees.
APART = ["unshare", "--user", "--map-root-user", "--mount", "--net"]


@pytest.mark.skipif(
    subprocess.run([*APART, "true"], capture_output=True).returncode != 0,
    reason="no namespaces here, which a resolver of one's own needs",
)
def test_a_name_that_turns_to_a_forbidden_address_reaches_nobody_there() -> None:
    command = [*APART, sys.executable, "-m", "tests.webhooks.rebinding"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = [attempt["error"] or attempt["status"] for attempt in told["attempts"]]
    refused = "webhooks do not go there: "
    assert found == [
        200,
        f"{refused}127.0.0.1 is this machine",
        f"{refused}10.0.0.1 is not a public address",
        f"{refused}127.0.0.1 is this machine",
        200,
    ]
    assert told["reached"] == [PUBLIC, PUBLIC]
    # One question for each attempt: no second answer gets past the check.
    assert told["asked"] == [NAME] * len(ANSWERS)
