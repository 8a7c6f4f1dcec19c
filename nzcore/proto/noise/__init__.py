"""The Noise Protocol Framework, revision 34, with hybrid forward secrecy (spec/noise.md).

`kernel` is the door for the rest of nzcore: the three handshakes that a node makes. `patterns`, `symmetric` and
`handshake` are the general machine behind it, which vectors and other implementations are compared with.
"""
