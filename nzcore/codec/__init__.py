"""Floor 1: bytes to values and back: deterministic CBOR and COSE_Sign1 for what is signed, MessagePack for the rest."""
