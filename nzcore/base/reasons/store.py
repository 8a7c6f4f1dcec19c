"""Reasons of `nzcore.store`: database, vault, lock, bridge."""

from nzcore.base.reasons import Reason

REASONS = {
    "bridge-down": Reason(
        "the asyncio thread has ended, so the database cannot be reached", "restart the node; the cause is in its log"
    ),
    "bridge-stuck": Reason(
        "a call in the asyncio thread refuses to end", "end the node's process; committed data is safe"
    ),
    "bridge-used": Reason("an asyncio bridge is entered twice", "make a new bridge for each run"),
    "call-cancelled": Reason("a call in the asyncio thread was cancelled from inside", "try again"),
    "batch-failed": Reason("the commit or read that this call was part of broke off", "try again; look at the log"),
    "closed": Reason("the store is closed", "open it again, or stop using it after leaving its block"),
    "disk-hangs": Reason(
        "the disk has not answered for 30 seconds; whether the write happened is not known",
        "check the disk and its mount; the node tries again",
    ),
    "disk-full": Reason("the disk is full or its quota is used up", "free some space; nothing that was stored is lost"),
    "cannot-open": Reason("the database cannot be opened", "check that its folder exists and is yours to write"),
    "damaged-database": Reason(
        "the database file is damaged or not a database", "restore it from a backup; keep the damaged file for analysis"
    ),
    "foreign-database": Reason(
        "the database was sealed with another data key, or its head was changed",
        "use the vault that belongs to this database; otherwise restore both from one backup",
    ),
    "newer-database": Reason("the database was written by a newer nzcore", "upgrade nzcore, then try again"),
    "damaged-row": Reason(
        "a stored entry does not open: it was damaged, or moved from elsewhere", "run nzcore doctor; restore a backup"
    ),
    "rows-changed": Reason(
        "rows were removed, brought back or exchanged behind the node's back", "restore a backup that you trust"
    ),
    "read-failed": Reason("reading from the database failed", "check the disk; the node tries again"),
    "write-failed": Reason("writing to the database failed, and nothing was changed", "check the disk, then try again"),
    "conflict": Reason("the entry has another version than expected", "read it again and decide anew"),
    "bad-name": Reason(
        "a namespace or name of the wrong size", "namespaces have 1 to 64 bytes of UTF-8, names 1 to 1,024"
    ),
    "bad-value": Reason("a value that is not bytes, or larger than 1 MiB", "store larger things as files"),
    "bad-transaction": Reason("a transaction without writes, or with too many", "give 1 to 1,024 writes at once"),
    "bad-watch": Reason("a watch without room for a change", "give a capacity of at least 1"),
    "watch-overflow": Reason("a watcher read too slowly and changes were lost", "list again, then watch again"),
    "watch-shared": Reason("two tasks iterate over one watch", "open one watch for each task"),
    "file-exists": Reason("the file is there already", "choose another place, or remove the file if you are sure"),
    "cannot-write": Reason("the file cannot be written", "check the disk, and that its folder is yours to write"),
    "cannot-read": Reason("the file cannot be read", "check its permissions"),
    "missing-file": Reason(
        "the file is not there", "check the home's path, or restore the file from a copy of the home"
    ),
    "not-private": Reason("others may reach a file that holds secrets", "chmod 600 it, and check who could read it"),
    "one-lock": Reason("a vault has one lock", "give either a passphrase or a key file"),
    "other-lock": Reason(
        "the vault has the other kind of lock", "give the passphrase if you gave a key file, and the other way round"
    ),
    "same-lock": Reason(
        "the vault is under a key file already",
        "for a fresh key file, change to a passphrase first, then back to a key file",
    ),
    "wrong-passphrase": Reason("the passphrase does not open the vault", "try again; mind the keyboard layout"),
    "wrong-key-file": Reason("the key file does not open the vault", "use the vault.key that was made with this vault"),
    "damaged-key-file": Reason("the vault's key file is damaged", "restore vault.key from a backup"),
    "truncated-vault": Reason(
        "the vault file ends too early", "restore it from a backup, or recover with the mnemonic"
    ),
    "damaged-vault": Reason("the vault file is damaged", "restore it from a backup, or recover with the mnemonic"),
    "newer-vault": Reason("the vault was written by a newer nzcore", "upgrade nzcore, then try again"),
    "too-much-in-vault": Reason("contents too large for a vault", "keep keys in the vault, at most 64 KiB"),
    "home-busy": Reason("another process uses this home", "stop the other node first: nzcore stop"),
    "lock-held": Reason("the home's lock is taken twice", "release it first"),
}
