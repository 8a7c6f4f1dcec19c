"""pyzmq with CURVE between two processes over TCP loopback; runs in the peers' environment, prints one JSON object.

`request_reply` blocks in both processes, which then can do nothing else; `request_reply_async` is what a node does:
both ends in an event loop (`zmq.asyncio`).
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time

import zmq
import zmq.asyncio

BULK, REQUEST, MESSAGE = 65_536, 32, 100
BULK_COUNT, REQUESTS, WARM_UP, MESSAGES = 8_192, 5_000, 500, 1_000_000


def main(work: str) -> dict[str, float]:
    public, secret = zmq.curve_keypair()
    server_public, server_secret = zmq.curve_keypair()
    command = [sys.executable, __file__, work, "serve", server_public.decode(), server_secret.decode()]
    is_async = work.endswith("_async")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, _context(is_async) as context:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        kind = zmq.REQ if work.startswith("request_reply") else zmq.DEALER
        with context.socket(kind) as sock:
            sock.curve_publickey, sock.curve_secretkey, sock.curve_serverkey = public, secret, server_public
            sock.connect(f"tcp://127.0.0.1:{port}")
            if work == "request_reply":
                return round_trips(sock)
            if is_async:
                return asyncio.run(async_round_trips(sock))
            if work == "bulk":
                return {"mb_s": pour(sock, BULK, BULK_COUNT) * BULK / 1e6}
            return {"per_s": pour(sock, MESSAGE, MESSAGES)}


def round_trips(sock: zmq.Socket) -> dict[str, float]:
    times = []
    for number in range(WARM_UP + REQUESTS):
        begun = time.perf_counter()
        sock.send(bytes(REQUEST))
        sock.recv()
        if number >= WARM_UP:
            times.append((time.perf_counter() - begun) * 1e6)
    sock.send(b"")
    sock.recv()
    return {"p50_us": statistics.median(times), "p99_us": statistics.quantiles(times, n=100)[-1]}


async def async_round_trips(sock: zmq.asyncio.Socket) -> dict[str, float]:
    times = []
    for number in range(WARM_UP + REQUESTS):
        begun = time.perf_counter()
        await sock.send(bytes(REQUEST))
        await sock.recv()
        if number >= WARM_UP:
            times.append((time.perf_counter() - begun) * 1e6)
    await sock.send(b"")
    await sock.recv()
    return {"p50_us": statistics.median(times), "p99_us": statistics.quantiles(times, n=100)[-1]}


def _context(is_async: bool) -> zmq.Context:
    return zmq.asyncio.Context() if is_async else zmq.Context()


async def async_echo(sock: zmq.asyncio.Socket) -> None:
    while data := await sock.recv():
        await sock.send(data)
    await sock.send(b"over")


def pour(sock: zmq.Socket, size: int, count: int) -> float:
    """Messages a second, until the other side has said that it got them all."""
    data = bytes(size)
    sock.send(data)
    sock.send(b"?")  # connected, and both sides warm
    sock.recv()
    begun = time.perf_counter()
    for _ in range(count):
        sock.send(data)
    sock.send(b"?")
    if int(sock.recv()) != count + 1:
        raise RuntimeError("messages were lost")
    rate = count / (time.perf_counter() - begun)
    sock.send(b"")
    return rate


def serve(work: str, public: str, secret: str) -> None:
    is_async = work.endswith("_async")
    kind = zmq.REP if work.startswith("request_reply") else zmq.DEALER
    with _context(is_async) as context, context.socket(kind) as sock:
        sock.curve_server = True
        sock.curve_publickey, sock.curve_secretkey = public.encode(), secret.encode()
        print(sock.bind_to_random_port("tcp://127.0.0.1"), flush=True)
        if is_async:
            asyncio.run(async_echo(sock))
            return
        count = 0
        while data := sock.recv():
            if work == "request_reply":
                sock.send(data)
            elif data == b"?":
                sock.send(b"%d" % count)
            else:
                count += 1
        if work == "request_reply":
            sock.send(b"over")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve(sys.argv[1], *sys.argv[3:])
    else:
        print(json.dumps(main(sys.argv[1])))
