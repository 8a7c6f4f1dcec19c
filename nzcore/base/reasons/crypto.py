"""Reasons of `nzcore.crypto`: signatures, keys and sealed bytes that were refused."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-size": Reason("a key, signature or salt of the wrong size", "see the sizes in spec/crypto.md §2"),
    "bad-signature": Reason(
        "the signature does not belong to this message and key",
        "fetch the object again; if it stays so, it was changed or signed by somebody else",
    ),
    "zero-agreement": Reason(
        "the other side's agreement key leads to an all-zero secret",
        "the peer offers a key of small order: do not trust it; see spec/crypto.md §5.2",
    ),
    "bad-kem-key": Reason(
        "not a valid ML-KEM-768 public key", "the peer's software is wrong or the bytes were damaged on the way"
    ),
    "bad-kem-ciphertext": Reason(
        "not an ML-KEM-768 ciphertext", "the peer's software is wrong or the bytes were damaged on the way"
    ),
    "not-authentic": Reason(
        "sealed bytes that do not open", "the key is another one, or the bytes were changed, cut, reordered or replayed"
    ),
    "exhausted": Reason(
        "the key has sealed as many messages as it may", "replace the key before its limit; a bug in the caller"
    ),
    "wiped": Reason(
        "a secret that was already wiped", "a bug in the caller: the key was used after the end of its life"
    ),
    "secret-stays": Reason(
        "a secret must not be copied or serialised",
        "a bug in the caller: only the vault stores secrets, and seals them",
    ),
    "bad-passphrase": Reason(
        "not a usable passphrase", "use 1 to 1,024 bytes of text; check the terminal's character encoding"
    ),
    "bad-cost": Reason(
        "a passphrase cost outside its bounds", "the sealed file is damaged, or was made by a version with other limits"
    ),
    "bad-label": Reason("not a domain label", "a bug in the caller: labels are 1 to 64 printable ASCII characters"),
    "no-memory": Reason(
        "not enough memory to derive a key from the passphrase", "free some memory, or lower the cost to interactive"
    ),
}
