"""Floor 1: operations named by purpose and distinct key types; the only importer of `nacl` and `cryptography`."""
