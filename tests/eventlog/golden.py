"""Vectors that independent programs accepted (log seed 32 x 0x01, entries a, b, c; time fixed)."""

from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox.eventlog.note import Signer

ORIGIN = "log.example/kzte-settlement"
VKEY = "log.example/kzte-settlement+5e64352b+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
ENTRIES = [b"a", b"b", b"c"]
BUNDLE = bytes.fromhex("000161000162000163")
HASHES = [
    bytes.fromhex("022a6979e6dab7aa5ae4c3e5e45f7e977112a7e63593820dbec1ec738a24f93c"),
    bytes.fromhex("57eb35615d47f34ec714cacdf5fd74608a5e8e102724e80b24b287c0c27b6a31"),
    bytes.fromhex("597fcb31282d34654c200d3418fca5705c648ebf326ec73d8ddef11841f876d8"),
]
INCLUSION_OF_1 = [
    b64decode("Aippeebat6pa5MPl5F9+l3ESp+Y1k4INvsHsc4ok+Tw="),
    b64decode("WX/LMSgtNGVMIA00GPylcFxkjr8ybsc9jd7xGEH4dtg="),
]
CONSISTENCY_2_3 = [b64decode("WX/LMSgtNGVMIA00GPylcFxkjr8ybsc9jd7xGEH4dtg=")]
ROOT_OF_2 = b64decode("sTeYX/SE+2ANuTEHx3sDZcgNePW0Kd7Q/Zc2HQd5mes=")
ROOT_OF_3 = b64decode("NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE=")
LOG_SIGNATURE = (
    "— log.example/kzte-settlement XmQ1KzfcW7ZjfzLRUdlB0Y6iSmdvVW9CB/tOeBWK4YonOYFMMq+IkRWaSWDr"
    "FGGo0KYHSy6cuuqWlx7EbNs0WJCy7Qg=\n"
)
WITNESS_SIGNATURE = (
    "— regulator.example/w1 lFo9WAAAAABlU/EA65aP+4Dk6dOiLCtxiAHgahCWxcxAuIY7GlMKt03VfA4wrAw9J9tI"
    "5ekjS/CMKqUo+2gHdfJhDDncopGEkz34Dg==\n"
)
TEXT = f"{ORIGIN}\n3\nNmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE=\n"
CHECKPOINT = f"{TEXT}\n{LOG_SIGNATURE}{WITNESS_SIGNATURE}"


def signer(origin: str = ORIGIN) -> Signer:
    return Signer(origin, Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
