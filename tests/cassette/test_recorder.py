"""In which order a recording tells of requests that overlap."""

import httpx2

from sandbox.cassette.recorder import Recorder
from sandbox.cassette.world import World


def test_who_waits_for_another_request_comes_after_it() -> None:
    world = World({"api": "http://127.0.0.1:1", "keys": {}})
    world.close()
    nothing = httpx2.MockTransport(lambda request: httpx2.Response(200, json={}))
    world.http = httpx2.Client(base_url=world.url, transport=nothing)
    recorder = Recorder(world)
    _, waits = recorder.send("POST", "/v1/sandbox/quiesce", {}, b"")
    _, asks = recorder.send("POST", "/v1/refunds", {}, b"{}")
    recorder.answered(asks, b"{}")
    recorder.answered(waits, b"{}")
    world.close()
    assert [step["path"] for step in recorder.steps] == ["/v1/refunds", "/v1/sandbox/quiesce"]
