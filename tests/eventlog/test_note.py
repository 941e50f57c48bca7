import base64

import pytest

from sandbox.eventlog import checkpoint
from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.note import BadNote, Verifier, open_note
from tests.eventlog import golden

SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
LOG = Verifier.parse(golden.VKEY)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a+b",
        SPEC_VKEY.replace("530d903a", "530d903b"),
        SPEC_VKEY.replace("foo", "fop"),
        SPEC_VKEY[:-1],
        SPEC_VKEY[:-1] + "l",
        "example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(BadNote):
        Verifier.parse(vkey)


def test_every_changed_byte_of_a_signed_checkpoint_is_refused() -> None:
    note = f"{golden.TEXT}\n{golden.LOG_SIGNATURE}".encode()
    for at in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[at] ^= 1 << bit
            with pytest.raises(BadNote):
                open_checkpoint(bytes(changed), LOG)


def test_every_cut_of_a_signed_checkpoint_is_refused() -> None:
    note = f"{golden.TEXT}\n{golden.LOG_SIGNATURE}".encode()
    for end in range(len(note)):
        with pytest.raises(BadNote):
            open_checkpoint(note[:end], LOG)


def test_a_note_of_unknown_keys_only_is_refused() -> None:
    with pytest.raises(BadNote, match="known key"):
        open_note(f"{golden.TEXT}\n{golden.WITNESS_SIGNATURE}".encode(), [LOG])


def test_a_known_key_that_fails_spoils_the_note_even_beside_a_good_one() -> None:
    bad = golden.signer().sign("other\n").split("\n\n")[1]
    with pytest.raises(BadNote, match="does not fit"):
        open_note(f"{golden.TEXT}\n{golden.LOG_SIGNATURE}{bad}".encode(), [LOG])


def test_a_second_spelling_of_the_same_signature_is_refused() -> None:
    # 68 bytes leave two unused bits in the last base64 character: j and k decode alike.
    twin = golden.LOG_SIGNATURE.replace("7Qg=", "7Qh=")
    data = base64.b64decode(twin.split(" ")[2])
    assert data == base64.b64decode(golden.LOG_SIGNATURE.split(" ")[2])
    with pytest.raises(BadNote, match="canonical"):
        open_note(f"{golden.TEXT}\n{twin}".encode(), [LOG])


@pytest.mark.parametrize(
    "text",
    [
        "origin\n3\n",
        f"{golden.TEXT}extension\n",
        golden.TEXT.replace("\n3\n", "\n03\n"),
        golden.TEXT.replace("\n3\n", "\n-3\n"),
        golden.TEXT.replace("\n3\n", "\n\u0663\n"),
        golden.TEXT.replace("HsE=", "HsF="),
        golden.TEXT.replace("HsE=", "HsEA"),
    ],
)
def test_a_checkpoint_in_any_other_form_is_refused_though_it_is_signed(text: str) -> None:
    with pytest.raises(BadNote):
        open_checkpoint(golden.signer().sign(text).encode(), LOG)


def test_a_checkpoint_of_another_origin_is_refused() -> None:
    text = golden.TEXT.replace("kzte-settlement", "kzte-settlement/e2")
    with pytest.raises(BadNote, match="origin"):
        open_checkpoint(golden.signer().sign(text).encode(), LOG)


def test_the_specifications_own_verifier_key_reads_both_ways() -> None:
    verifier = Verifier.parse(SPEC_VKEY)
    assert verifier.name == "example.com/foo"
    assert verifier.vkey == SPEC_VKEY


def test_the_golden_checkpoint_is_signed_byte_for_byte_and_opens_beside_a_witness() -> None:
    signer = golden.signer()
    assert signer.verifier.vkey == golden.VKEY
    found = Checkpoint(golden.ORIGIN, 3, golden.ROOT_OF_3)
    assert found.sign(signer) == f"{golden.TEXT}\n{golden.LOG_SIGNATURE}"
    assert open_checkpoint(golden.CHECKPOINT.encode(), LOG) == found
    assert checkpoint.parse(golden.TEXT) == found
