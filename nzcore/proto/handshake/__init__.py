"""Floor 3: how two nodes meet and prove who they are, as two machines (spec/handshake.md, NZ-HANDSHAKE-01)."""
