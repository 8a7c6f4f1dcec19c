"""Reasons of `nzcore.proto.identity`: mnemonics, certificates, rotation, documents, cards, names."""

from nzcore.base.reasons import Reason

REASONS = {
    "bad-mnemonic": Reason(
        "these are not the 24 words of a mnemonic",
        "compare each word with the paper: 24 English words in order, separated by spaces",
    ),
    "bad-text": Reason(
        "the text is damaged or is of another kind", "copy it again from its prefix to its very last character"
    ),
    "bad-certificate": Reason(
        "not a valid node certificate", "ask the node's owner for its card: nzcore identity card"
    ),
    "bad-retirement": Reason(
        "not a valid retirement statement", "ask the owner of the identity for the statement again"
    ),
    "unknown-version": Reason("written in a version that this node does not know", "update nzcore on this machine"),
    "other-node": Reason("this belongs to another node", "compare the NodeIds: nzcore identity show"),
    "other-identity": Reason(
        "this belongs to another identity", "use the mnemonic of the identity that this node belongs to"
    ),
    "older-epoch": Reason(
        "a certificate that a newer one has replaced", "ask the node's owner for its newest card: nzcore identity card"
    ),
    "forked": Reason(
        "two different certificates of one epoch exist",
        "rotate the node's keys with the mnemonic: only a higher epoch heals this",
    ),
    "retired": Reason("this node is retired for ever", "make a new node: nzcore init --index N"),
    "bad-request": Reason(
        "not a valid rotation request", "make the request again on the node: nzcore identity request"
    ),
    "keys-reused": Reason(
        "the request asks for keys that the node already has", "make the request again: nzcore identity request"
    ),
    "request-mismatch": Reason(
        "the certificate does not certify the keys that wait here",
        "sign the newest request of this node, then apply that certificate",
    ),
    "keys-mismatch": Reason(
        "the keys are not those of the certificate", "restore certificate and vault from the same moment"
    ),
    "bad-document": Reason("not a valid document signature", "ask for the signature file again; it begins with nzsig:"),
    "document-changed": Reason(
        "the file is not the one that was signed", "get the file again, or the signature that belongs to it"
    ),
    "bad-card": Reason("not a valid card", "scan or copy the card again: nzcore identity card"),
    "bad-address": Reason(
        "not a valid address", "write tcp://host:port, with an IPv6 host in brackets: tcp://[fe80::1%eth0]:7001"
    ),
    "bad-petname": Reason(
        "not usable as a petname", "use 1 to 64 bytes of letters, digits, - _ and ., beginning with a letter or a digit"
    ),
    "bad-argument": Reason("an identity value out of its range", "see spec/identity.md for the ranges"),
}
