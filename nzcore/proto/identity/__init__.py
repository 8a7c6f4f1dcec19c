"""Floor 2: who and where (spec/identity.md, NZ-IDENTITY-01).

`mnemonic` → `root` → `certificate`; `node_keys` is what a running node holds; `rotation`, `document` and `card` are
what leaves it. Knows no file, no clock and no network: shells hand in bytes and the time.
"""
