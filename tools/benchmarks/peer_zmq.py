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

from tools.benchmarks.cpu import Stopwatch

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
                return round_trips(sock, server.pid)
            if is_async:
                return asyncio.run(async_round_trips(sock, server.pid))
            if work == "bulk":
                wall, cpu = pour(sock, BULK, BULK_COUNT, server.pid)
                size = BULK * BULK_COUNT
                return {"mb_s": size / 1e6 / wall, "cpu_s_gb": cpu / (size / 1e9)}
            wall, cpu = pour(sock, MESSAGE, MESSAGES, server.pid)
            return {"per_s": MESSAGES / wall, "cpu_us": cpu / MESSAGES * 1e6}


def round_trips(sock: zmq.Socket, server: int) -> dict[str, float]:
    for _ in range(WARM_UP):
        sock.send(bytes(REQUEST))
        sock.recv()
    times, watch = [], Stopwatch(server)
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        sock.send(bytes(REQUEST))
        sock.recv()
        times.append(time.perf_counter() - begun)
    _, cpu = watch.read()
    sock.send(b"")
    sock.recv()
    return latency(times, cpu)


async def async_round_trips(sock: zmq.asyncio.Socket, server: int) -> dict[str, float]:
    for _ in range(WARM_UP):
        await sock.send(bytes(REQUEST))
        await sock.recv()
    times, watch = [], Stopwatch(server)
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        await sock.send(bytes(REQUEST))
        await sock.recv()
        times.append(time.perf_counter() - begun)
    _, cpu = watch.read()
    await sock.send(b"")
    await sock.recv()
    return latency(times, cpu)


def _context(is_async: bool) -> zmq.Context:
    return zmq.asyncio.Context() if is_async else zmq.Context()


async def async_echo(sock: zmq.asyncio.Socket) -> None:
    while data := await sock.recv():
        await sock.send(data)
    await sock.send(b"over")


def latency(seconds: list[float], cpu: float) -> dict[str, float]:
    return {
        "p50_us": statistics.median(seconds) * 1e6,
        "p99_us": statistics.quantiles(seconds, n=100)[-1] * 1e6,
        "cpu_us": cpu / len(seconds) * 1e6,
    }


def pour(sock: zmq.Socket, size: int, count: int, server: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds, until the other side has said that it got them all."""
    data = bytes(size)
    sock.send(data)
    sock.send(b"?")  # connected, and both sides warm
    sock.recv()
    watch = Stopwatch(server)
    for _ in range(count):
        sock.send(data)
    sock.send(b"?")
    if int(sock.recv()) != count + 1:
        raise RuntimeError("messages were lost")
    spent = watch.read()
    sock.send(b"")
    return spent


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
