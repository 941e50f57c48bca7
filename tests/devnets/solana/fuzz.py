"""Requests that are almost right: valid ones of every method, broken in one to three places."""

from __future__ import annotations

import base64
import copy
import json
import random
from dataclasses import dataclass
from typing import Any

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, move

_TAKE_WIRES = ("sendTransaction", "simulateTransaction", "getFeeForMessage")
_PROGRAMS = [
    "11111111111111111111111111111111", "ComputeBudget111111111111111111111111111111",
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", "Vote111111111111111111111111111111111111111",
    "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr", "Stake11111111111111111111111111111111111111",
    "AddressLookupTab1e1111111111111111111111111", "BPFLoaderUpgradeab1e11111111111111111111111",
    "BPFLoader2111111111111111111111111111111111", "KeccakSecp256k11111111111111111111111111111",
    "Ed25519SigVerify111111111111111111111111111", "SysvarC1ock11111111111111111111111111111111",
    "Sysvar1nstructions1111111111111111111111111", "SysvarRecentB1ockHashes11111111111111111111",
]  # fmt: skip
_WORDS = [
    "processed", "confirmed", "finalized", "recent", "json", "jsonParsed", "base58", "base64",
    "base64+zstd", "binary", "full", "accounts", "signatures", "none", "all", "allWithVotes", "",
    "\u0000", "é😀", "\ufffd", "null", "0", "1" * 32, "1" * 64, "1" * 44, "O0Il", "x" * 2_000,
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb", "Sysvar1nstructions1111111111111111111111111",
]  # fmt: skip
_NUMBERS: list[Any] = [
    0, 1, -1, 31, 32, 1_000, 1_001, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
    2**200, -(2**63), -(2**64), 0.5, -0.0, 1e-300, 1e300, True, False,
]  # fmt: skip
_NAMES = [
    "commitment", "encoding", "filters", "dataSlice", "offset", "length", "limit", "before",
    "until", "mint", "programId", "memcmp", "dataSize", "bytes", "mentions", "skipPreflight",
    "maxSupportedTransactionVersion", "transactionDetails", "minContextSlot", "sigVerify",
    "replaceRecentBlockhash", "accounts", "addresses", "innerInstructions", "rewards", "filter",
    "preflightCommitment", "maxRetries", "tokenAccountState", "enableReceivedNotification",
    "mentionsAccountOrProgram", "identity", "range", "firstSlot", "lastSlot", "epoch", "slots",
    "offsetMs", "slotMs", "kind", "drop", "stick", "hold", "showRewards", "sortResults",
    "withContext", "votePubkey", "recentBlockhash",
]  # fmt: skip
_RAW_VALUES = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\xff\xfe"', b"01", b"1.", b"'x'", b"undefined", b"[" * 600 + b"]" * 600, b"[" * 3_000,
    b'{"a":' * 500 + b"1" + b"}" * 500, b'"\\u0000"', b"9" * 400, b"0." + b"1" * 400,
]  # fmt: skip


@dataclass(slots=True)
class Seed:
    """Valid requests of every method, with things that exist on the chain."""

    requests: list[tuple[str, list[Any]]]
    wires: list[bytes]
    payer: Keypair
    accounts: list[Pubkey]
    blockhash: Hash


async def sow(chain: Chain, subscriptions: bool) -> Seed:
    """Bring a little of everything onto the chain and write down how to ask for it."""
    payer = await chain.wallet(1_000 * SOL)
    key, shop, reference = payer.pubkey(), Keypair().pubkey(), Keypair().pubkey()
    mint = await tokens.make_mint(chain, payer)
    await chain.do(
        tokens.open_account(key, key, mint),
        tokens.open_account(key, shop, mint),
        tokens.mint_to(mint, key, key, 100_000),
        signers=[payer],
    )
    paid = await chain.do(
        tokens.memo(b"order 7"), tokens.pay(mint, key, shop, 5, reference), signers=[payer]
    )
    failed = await chain.sign(move(payer, shop, 9_000 * SOL), signers=[payer])
    await chain.send(failed, skipPreflight=True)
    await chain.advance(40)
    wires = [
        await chain.sign(move(payer, shop, SOL), signers=[payer]),
        await chain.sign(tokens.pay(mint, key, shop, 5, reference), signers=[payer]),
        failed,
    ]
    text = base64.b64encode(wires[0]).decode()
    message = base64.b64encode(wires[0][65:]).decode()
    blockhash, names = str(await chain.blockhash()), [str(key), str(mint)]
    confirmed: dict[str, Any] = {"commitment": "confirmed", "minContextSlot": 1}
    account = confirmed | {"encoding": "jsonParsed", "dataSlice": {"offset": 1, "length": 8}}
    where = {"memcmp": {"offset": 0, "bytes": str(mint), "encoding": "base58"}}
    many = account | {"filters": [{"dataSize": 174}, where], "withContext": True}
    transaction = {"commitment": "confirmed", "encoding": "json"}
    transaction |= {"maxSupportedTransactionVersion": 0}
    sending = {"encoding": "base64", "skipPreflight": True, "maxRetries": 1}
    trying = {
        "encoding": "base64", "sigVerify": True, "innerInstructions": True, **confirmed,
        "accounts": {"encoding": "base64", "addresses": names},
    }  # fmt: skip
    holder = str(tokens.ata(key, mint))
    requests: list[tuple[str, list[Any]]] = [
        *((name, []) for name in (
            "getHealth", "getVersion", "getGenesisHash", "getIdentity", "getEpochSchedule",
            "getClusterNodes", "getFirstAvailableBlock", "minimumLedgerSlot", "nope", "",
            "getMaxRetransmitSlot", "getMaxShredInsertSlot", "getInflationRate", "sandbox_nope",
            "getHighestSnapshotSlot",
        )),
        *((name, [confirmed]) for name in (
            "getSlot", "getBlockHeight", "getTransactionCount", "getEpochInfo", "getSlotLeader",
            "getLatestBlockhash", "getVoteAccounts", "getSupply", "getLargestAccounts",
            "getInflationGovernor", "getStakeMinimumDelegation", "getBlockProduction",
        )),
        ("isBlockhashValid", [blockhash, confirmed]),
        ("getFeeForMessage", [message, confirmed]),
        ("getRecentPrioritizationFees", [names]),
        ("getRecentPerformanceSamples", [5]),
        ("getMinimumBalanceForRentExemption", [165, {"commitment": "confirmed"}]),
        ("getSlotLeaders", [1, 10]),
        ("getInflationReward", [names, {"epoch": 0}]),
        ("getLeaderSchedule", [None, {"commitment": "confirmed"}]),
        ("getBlockCommitment", [3]),
        ("getAccountInfo", [str(mint), account]),
        ("getMultipleAccounts", [names, account]),
        ("getBalance", [str(key), confirmed]),
        ("getProgramAccounts", [str(tokens.TOKEN_2022), many]),
        ("getTokenAccountsByOwner", [str(key), {"mint": str(mint)}, account]),
        ("getTokenAccountsByDelegate", [str(key), {"programId": str(tokens.TOKEN_2022)}, account]),
        ("getTokenAccountBalance", [holder, confirmed]),
        ("getTokenSupply", [str(mint), confirmed]),
        ("getTokenLargestAccounts", [str(mint), confirmed]),
        ("getSignatureStatuses", [[paid], {"searchTransactionHistory": True}]),
        ("getSignaturesForAddress", [str(shop), confirmed | {"limit": 10, "before": paid}]),
        ("getTransaction", [paid, transaction]),
        ("getBlock", [1, transaction | {"transactionDetails": "full", "rewards": True}]),
        ("getBlocks", [0, 20, confirmed]),
        ("getBlocksWithLimit", [0, 20, confirmed]),
        ("getBlockTime", [1]),
        ("sendTransaction", [text, sending]),
        ("simulateTransaction", [text, trying]),
        ("requestAirdrop", [str(shop), SOL, {"commitment": "confirmed"}]),
    ]  # fmt: skip
    if subscriptions:
        requests += [
            ("accountSubscribe", [str(mint), account]),
            ("programSubscribe", [str(tokens.TOKEN_2022), many]),
            ("logsSubscribe", [{"mentions": [str(shop)]}, {"commitment": "confirmed"}]),
            ("signatureSubscribe", [paid, {"enableReceivedNotification": True}]),
            ("blockSubscribe", [{"mentionsAccountOrProgram": str(shop)}, transaction]),
            *((f"{name}Subscribe", []) for name in ("slot", "root", "vote", "slotsUpdates")),
            *((f"{name}Unsubscribe", [1]) for name in ("account", "program", "logs", "signature")),
            *((f"{name}Unsubscribe", [1]) for name in ("block", "slot", "root", "slotsUpdates")),
        ]
    accounts = [key, shop, reference, mint, tokens.ata(key, mint), tokens.ata(shop, mint)]
    accounts += [Pubkey.from_string(name) for name in _PROGRAMS]
    return Seed(requests, wires, payer, accounts, await chain.blockhash())


class Fuzzer:
    """The same seed and number give the same bodies, but for the keys of the chain itself."""

    def __init__(self, seed: Seed, number: int) -> None:
        self._seed, self._rng = seed, random.Random(number)
        self._wiring = [one for one in seed.requests if one[0] in _TAKE_WIRES]

    def body(self) -> bytes:
        """One HTTP body or WebSocket frame."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.07:
            batch: list[Any] = [self._request() for _ in range(rng.randrange(6))]
            if rng.random() < 0.4:
                batch.append([self._request()])
            return self._raw(batch)
        raw = self._raw(self._request())
        if draw < 0.16:
            return self._bent(raw)
        if draw < 0.21:
            return self._planted(raw)
        if draw < 0.23:
            return raw[:-1] + b',"method":"getSlot","params":[],"id":7}'  # doubled keys
        return raw

    def _raw(self, value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=self._rng.random() < 0.5).encode()

    def _request(self) -> dict[str, Any]:
        rng = self._rng
        requests = self._seed.requests
        if self._wiring and rng.random() < 0.15:
            requests = self._wiring
        method, params = rng.choice(requests)
        params = copy.deepcopy(params)
        if method in _TAKE_WIRES and rng.random() < 0.6:
            wire, options = self._wire(), params[1]
            if method == "getFeeForMessage":
                wire = wire[65:]
            else:
                options["skipPreflight"] = rng.random() < 0.3
            params[0] = base64.b64encode(wire).decode()
        breaks = (0, 0, 0, 1) if method in _TAKE_WIRES else (0, 1, 1, 1, 2, 3)
        for _ in range(rng.choice(breaks)):
            params = self._broken(params)
        request = {"jsonrpc": "2.0", "id": rng.randrange(1_000), "method": method}
        request["params"] = params
        if rng.random() < 0.08:
            request = self._broken(request)
        return request

    def _wire(self) -> bytes:
        """A transaction with bits flipped, cut or lengthened, or a signed one of any words."""
        rng = self._rng
        if rng.random() < 0.4:
            return self._signed()
        wire = bytearray(rng.choice(self._seed.wires))
        for _ in range(rng.randrange(5)):
            wire[rng.randrange(len(wire))] ^= rng.choice((1 << rng.randrange(8), 255))
        match rng.randrange(6):
            case 0:
                del wire[rng.randrange(len(wire)) :]
            case 1:
                wire += rng.randbytes(rng.choice((1, 600, 1_400, 4_000)))
            case 2:
                wire[0] = rng.randrange(256)  # the count of signatures
            case 3:
                wire[65:69] = rng.randbytes(4)  # version, header
        return bytes(wire)

    def _signed(self) -> bytes:
        """Instructions that say anything to any program, truly signed."""
        rng, seed = self._rng, self._seed
        instructions = []
        for _ in range(rng.randrange(4)):
            named = [rng.choice(seed.accounts) for _ in range(rng.randrange(7))]
            signs = [key == seed.payer.pubkey() and rng.random() < 0.9 for key in named]
            metas = [
                AccountMeta(key, sign, rng.random() < 0.5)
                for key, sign in zip(named, signs, strict=True)
            ]
            data = bytes([rng.randrange(50)]) + rng.choice((b"", b"\0\0\0"))
            data += rng.randbytes(rng.choice((0, 1, 8, 9, 32, 80)))
            instructions.append(Instruction(rng.choice(seed.accounts), data, metas))
        message = Message.new_with_blockhash(instructions, seed.payer.pubkey(), seed.blockhash)
        return bytes(VersionedTransaction(message, [seed.payer]))

    def _broken(self, value: Any) -> Any:
        """Somewhere in a tree, something else."""
        rng = self._rng
        if isinstance(value, dict) and value and rng.random() < 0.8:
            name = rng.choice(list(value))
            match rng.randrange(8):
                case 0:
                    del value[name]
                case 1:
                    value[rng.choice(_NAMES)] = self._value(0)
                case _:
                    value[name] = self._broken(value[name])
            return value
        if isinstance(value, list) and value and rng.random() < 0.9:
            index = rng.randrange(len(value))
            match rng.randrange(8):
                case 0:
                    del value[index]
                case 1:
                    value.insert(index, self._value(0))
                case 2:
                    value += value * (40 if len(value) < 20 and rng.random() < 0.3 else 1)
                case _:
                    value[index] = self._broken(value[index])
            return value
        if isinstance(value, str) and value and rng.random() < 0.5:
            at = rng.randrange(len(value))
            return rng.choice(
                (
                    value[:at],
                    value[:at] + rng.choice("0OIl1z!= \u00e9\x00") + value[at + 1 :],
                    value + value,
                    value[::-1],
                    " " + value,
                )
            )
        return self._value(0)

    def _value(self, depth: int) -> Any:
        rng = self._rng
        if depth < 3 and rng.random() < 0.35:
            if rng.random() < 0.5:
                return [self._value(depth + 1) for _ in range(rng.randrange(4))]
            return {rng.choice(_NAMES): self._value(depth + 1) for _ in range(rng.randrange(4))}
        match rng.randrange(6):
            case 0:
                return None
            case 1 | 2:
                return rng.choice(_NUMBERS)
            case 3:
                return str(Pubkey(rng.randbytes(32)))
            case _:
                return rng.choice(_WORDS)

    def _bent(self, raw: bytes) -> bytes:
        """Bytes flipped, cut or doubled, whatever they meant."""
        rng, bent = self._rng, bytearray(raw)
        for _ in range(rng.randrange(1, 4)):
            bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del bent[rng.randrange(len(bent)) :]
        return bytes(bent)

    def _planted(self, raw: bytes) -> bytes:
        """A value that no JSON library would write, in the place of one that was there."""
        rng = self._rng
        places = [at for at in range(len(raw)) if raw[at : at + 1] in b",]"]
        at = rng.choice(places) if places else 0
        start = max(raw.rfind(b",", 0, at), raw.rfind(b"[", 0, at), raw.rfind(b":", 0, at)) + 1
        return raw[:start] + rng.choice(_RAW_VALUES) + raw[at:]
