"""What sending a file consists of, and nothing else: the floor under `nzcore send` on the same machine and disk.

One process reads, hashes, seals and sends; the other receives, opens, hashes, writes and synchronises. One thread each,
blocking sockets, the primitives and sizes of a channel, no framework, no protocol. Run as a program, it receives.
"""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nzcore.crypto.registers import clean_registers
from nzcore.node.files.behind import WriteBehind
from tools.benchmarks.channel_ours import ROOT
from tools.benchmarks.cpu import Stopwatch

KEY = bytes(range(32))  # published: measures, protects nothing
RECORD, TAG = 32 << 10, 16
SEALED = RECORD + TAG
READ, GATHERED, BLOCK = 1 << 20, 256 << 10, 512 << 10


def measure(folder: Path, mebibytes: int) -> dict[str, float]:
    """`mb_s` from the first byte read to the receiver's digest, and `cpu_s_gb` of both processes."""
    with tempfile.TemporaryDirectory(prefix="nzb-", dir=folder) as made:
        source, target = Path(made, "source"), Path(made, "target")
        with source.open("wb") as file:
            block = os.urandom(1 << 20)
            for _ in range(mebibytes):
                file.write(block)
            os.fsync(file.fileno())
        size = mebibytes << 20
        command = [sys.executable, "-m", "tools.benchmarks.files_bare", str(target), str(size)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as receiver:
            assert receiver.stdout is not None
            with socket.create_connection(("127.0.0.1", int(receiver.stdout.readline()))) as sock:
                watch = Stopwatch(receiver.pid)
                digest = _send(sock, source)
                if sock.recv(len(digest)) != digest:
                    raise RuntimeError("what was received is not what was sent")
                wall, cpu = watch.read()
    return {"mb_s": size / 1e6 / wall, "cpu_s_gb": cpu / (size / 1e9)}


def _send(sock: socket.socket, source: Path) -> bytes:
    digest, sealer, number = hashlib.sha256(), ChaCha20Poly1305(KEY), 0
    with source.open("rb", buffering=0) as file:
        while data := file.read(READ):
            clean_registers()
            digest.update(data)
            view, sealed = memoryview(data), []
            for at in range(0, len(data), RECORD):
                sealed.append(sealer.encrypt(number.to_bytes(12, "little"), view[at : at + RECORD], None))
                number += 1
                if len(sealed) * RECORD == GATHERED:
                    sock.sendall(b"".join(sealed))
                    sealed = []
    return digest.digest()


def _receive(sock: socket.socket, target: str, size: int) -> bytes:
    digest, opener, number = hashlib.sha256(), ChaCha20Poly1305(KEY), 0
    held, block = memoryview(bytearray(GATHERED + SEALED)), memoryview(bytearray(BLOCK))
    filled = gathered = written = 0
    file = os.open(target, os.O_WRONLY | os.O_CREAT)
    behind = WriteBehind(file, 0)
    while written < size:
        filled += sock.recv_into(held[filled:])
        at = 0
        while filled - at >= SEALED:
            record = opener.decrypt(number.to_bytes(12, "little"), held[at : at + SEALED], None)
            number, at = number + 1, at + SEALED
            block[gathered : gathered + RECORD] = record
            gathered += RECORD
            if gathered == BLOCK:
                os.write(file, block)
                clean_registers()
                digest.update(block)
                written, gathered = written + BLOCK, 0
                behind.reached(written)
        held[: filled - at] = held[at:filled]
        filled -= at
    os.fsync(file)
    os.close(file)
    return digest.digest()


def _serve(target: str, size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
    with sock:
        sock.sendall(_receive(sock, target, size))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
