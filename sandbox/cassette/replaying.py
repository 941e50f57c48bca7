"""A recording sent again: the same requests in the same order, to the same or another world."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.cassette import secrets, tape
from sandbox.cassette.recorder import STREAM, Recorder
from sandbox.cassette.tape import Cassette, JsonObject
from sandbox.cassette.world import API, World
from sandbox.core.errors import SandboxError

Act = Callable[[JsonObject], JsonObject]
"""Does an act's line again in the world at hand, and answers the line's facts as they are now."""

_NAME: Final = re.compile(r"\w+")
# What a world gives out: ids, addresses, transactions. Shorter words mean themselves.
_GIVEN: Final = re.compile(r"[a-z]{1,4}_[0-9a-hjkmnp-tv-z]{26}|0x[0-9a-fA-F]{40,}|\w{32,}")


class ActUnknown(SandboxError):
    """A later sandbox recorded it."""

    code = "act_unknown"

    def __init__(self, act: object) -> None:
        super().__init__(f"this sandbox does not know how to do {act!r} again")


class Replay:
    """One replay: what the recorded world called so, this one may call otherwise."""

    def __init__(self, world: World, acts: Mapping[str, Act]) -> None:
        self._world, self._acts = world, acts
        self._names: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def play(self, cassette: Cassette) -> Cassette:
        """Send everything, and record it. Raises `WorldSilent`, `ActUnknown`."""
        header = self._world.header()
        self._learn(cassette.header["merchant"], header["merchant"])
        self._learn(cassette.header["kzte"], header["kzte"])
        recorder = Recorder(self._world)
        for step in cassette.steps:
            if step["kind"] == tape.ACT:
                self._act(recorder, step)
            else:
                self._send(recorder, step)
        return self._world.finished(header, recorder.steps)

    def _act(self, recorder: Recorder, step: JsonObject) -> None:
        if step["act"] not in self._acts:
            raise ActUnknown(step["act"])
        asked = self._now({name: step[name] for name in step if name not in ("kind", "act")})
        done = self._acts[step["act"]](asked)
        self._learn(step, done)
        recorder.act(step["act"], **done)

    def _send(self, recorder: Recorder, step: JsonObject) -> None:
        headers = dict(self._now(step["headers"]))
        body = b""
        if (content := step["request"]) is not None:
            headers["Content-Type"] = "application/json"
            given = self._now(content.get("json", content.get("text")))
            body = (json.dumps(given) if "json" in content else given).encode()
        if step["idempotency_key"] is not None:
            headers["Idempotency-Key"] = step["idempotency_key"]
        if (key := self._key(step["caller"])) is not None:
            headers["Authorization"] = f"Bearer {key}"
        answer, line = recorder.send(step["method"], self._now(step["path"]), headers, body)
        if answer.headers.get("content-type", "").startswith(STREAM):
            answer.close()
            recorder.answered(line, None)
            return
        found = answer.read()
        recorder.answered(line, found)
        self._learn(step["answer"], line["answer"])
        if line["answer"] is not None and "json" in line["answer"]:
            self._learn_keys(step["answer"], json.loads(found))

    def _key(self, caller: str | None) -> str | None:
        if caller is None:
            return None
        # A key that this world never made is sent as it was told, to be refused as it was.
        id_ = caller.removeprefix("key ")
        return self._world.keys.get(caller) or self._keys.get(id_, f"sk_sbx_{id_}_unknown")

    def _learn(self, told: Any, found: Any) -> None:
        """Where the recorded answer has another name than this one, that is its name here."""
        if isinstance(told, str) and isinstance(found, str):
            if told != found and _GIVEN.fullmatch(told):
                self._names.setdefault(told, found)
        elif isinstance(told, list) and isinstance(found, list):
            for one, other in zip(told, found, strict=False):
                self._learn(one, other)
        elif isinstance(told, dict) and isinstance(found, dict):
            for name in told.keys() & found.keys():
                self._learn(told[name], found[name])

    def _learn_keys(self, told: Any, found: Any) -> None:
        """Keys made in the run: the recording has their ids, the answer has them whole."""
        ids = secrets.SHOWN_KEY.findall(json.dumps(told))
        made = re.findall(r"sk_sbx_[0-9a-z]+_[a-z2-7]{16,}", json.dumps(found))
        self._keys.update(zip(ids, made, strict=False))

    def _now(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.replace(API, self._world.url)
            return _NAME.sub(lambda word: self._names.get(word[0], word[0]), value)
        if isinstance(value, list):
            return [self._now(one) for one in value]
        if isinstance(value, dict):
            return {name: self._now(one) for name, one in value.items()}
        return value
