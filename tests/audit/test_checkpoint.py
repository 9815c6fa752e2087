"""Signed notes and checkpoints: known answers, and everything that must not pass."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import checkpoint, note
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.tree import EMPTY_ROOT
from gateway.errors import AuditError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ORIGIN = "example.org/audit"
VERIFIER = note.verifier(ORIGIN, KEY.public_key())

# The key and the note that the documentation of Go's sumdb/note package shows.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT + "\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The checkpoint that the tlog-checkpoint specification shows; its key is not given there.
SPEC_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def signed(text: str, *, name: str = ORIGIN, key: Ed25519PrivateKey = KEY) -> bytes:
    return note.sign(text, name, key).encode()


def test_a_note_signed_by_another_implementation_opens() -> None:
    verifier = note.parse_verifier(GO_KEY)
    assert verifier.key_id.hex() == "c74f20a3"
    assert verifier.encode() == GO_KEY
    assert note.open_note(GO_NOTE.encode(), verifier) == GO_TEXT


def test_the_checkpoint_of_the_specification_reads() -> None:
    found = checkpoint.parse(SPEC_TEXT)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text() == SPEC_TEXT


def test_a_checkpoint_reads_back_what_was_published() -> None:
    head = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    published = checkpoint.publish(head, KEY)
    assert published.startswith(
        f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 {ORIGIN} "
    )
    assert published.count("\n") == 5
    assert checkpoint.verify(published.encode(), VERIFIER) == head


def test_each_flipped_bit_of_a_note_is_noticed() -> None:
    published = checkpoint.publish(Checkpoint(ORIGIN, 1234, bytes(range(32))), KEY).encode()
    for at in range(len(published)):
        for bit in range(8):
            changed = bytearray(published)
            changed[at] ^= 1 << bit
            with pytest.raises(AuditError):
                checkpoint.verify(bytes(changed), VERIFIER)


def test_each_cut_of_a_note_is_noticed() -> None:
    published = checkpoint.publish(Checkpoint(ORIGIN, 1234, bytes(range(32))), KEY).encode()
    for at in range(len(published)):
        with pytest.raises(AuditError):
            checkpoint.verify(published[:at], VERIFIER)


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    head = Checkpoint(ORIGIN, 7, bytes(32))
    mine = checkpoint.publish(head, KEY)
    witness = note.sign(head.text(), "witness.example", OTHER).rsplit("\n\n", 1)[1]
    same_name = note.sign(head.text(), ORIGIN, OTHER).rsplit("\n\n", 1)[1]
    assert checkpoint.verify((mine + witness + same_name).encode(), VERIFIER) == head
    with pytest.raises(AuditError, match="not signed by"):
        checkpoint.verify((head.text() + "\n" + witness).encode(), VERIFIER)


def test_one_bad_signature_of_the_known_key_spoils_the_note() -> None:
    head = Checkpoint(ORIGIN, 7, bytes(32))
    forged = base64.b64encode(VERIFIER.key_id + bytes(64)).decode()
    with pytest.raises(AuditError, match="does not fit"):
        checkpoint.verify((checkpoint.publish(head, KEY) + f"\u2014 {ORIGIN} {forged}\n").encode(), VERIFIER)


def test_another_logs_checkpoint_under_the_same_key_is_refused() -> None:
    text = Checkpoint("other.example/log", 7, bytes(32)).text()
    with pytest.raises(AuditError, match=r"of 'other\.example/log'"):
        checkpoint.verify(signed(text), VERIFIER)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n1\n",
        f"\n1\n{ROOT}\n",
        f"{ORIGIN}\n01\n{ROOT}\n",
        f"{ORIGIN}\n+1\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n 1\n{ROOT}\n",
        f"{ORIGIN}\n1_0\n{ROOT}\n",
        f"{ORIGIN}\n\u0661\n{ROOT}\n",
        f"{ORIGIN}\n{10**19}\n{ROOT}\n",
        f"{ORIGIN}\n1\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n1\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n1\n{ROOT} \n",
        f"{ORIGIN}\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n1\n{ROOT}\n\nextension\n",
        f"{ORIGIN}\n1\n{ROOT}",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(AuditError):
        checkpoint.parse(text)


def test_extension_lines_are_read_over() -> None:
    assert checkpoint.parse(f"{ORIGIN}\n1\n{ROOT}\nextension\n") == Checkpoint(ORIGIN, 1, bytes(32))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u2003b", "a\nb", "a\x1bb", "a\u202eb"])
def test_a_key_with_a_name_that_misleads_is_refused(name: str) -> None:
    with pytest.raises(AuditError, match="not a name"):
        note.sign("text\n", name, KEY)


@pytest.mark.parametrize("text", ["", "no newline", "control \x07\n", "tab\there\n", "return\r\n"])
def test_a_text_that_cannot_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(AuditError, match="a note's text"):
        note.sign(text, ORIGIN, KEY)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "PeterNeumann",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("PeterNeumann", "Peter"),
        GO_KEY[:-4],
        GO_KEY.replace("+AR", "+Ah"),
    ],
)
def test_a_verifier_key_whose_parts_disagree_is_refused(key: str) -> None:
    with pytest.raises(AuditError):
        note.parse_verifier(key)


def test_a_note_has_bounds() -> None:
    head = checkpoint.publish(Checkpoint(ORIGIN, 7, bytes(32)), KEY)
    line = note.sign("x\n", "w.example", OTHER).rsplit("\n\n", 1)[1]
    assert checkpoint.verify((head + line * 16).encode(), VERIFIER).size == 7
    with pytest.raises(AuditError, match="signatures"):
        checkpoint.verify((head + line * 100).encode(), VERIFIER)
    with pytest.raises(AuditError, match="bytes"):
        note.open_note(b"x" * 100_000, VERIFIER)
