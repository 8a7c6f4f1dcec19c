"""py-libp2p between two processes over TCP loopback: its defaults (Noise, yamux), one stream, 64 KiB writes.

Runs in the peers' environment, prints one JSON object.
"""

import json
import subprocess
import sys

import multiaddr
import trio
from libp2p import new_host
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.stream.net_stream import INetStream
from libp2p.peer.peerinfo import info_from_p2p_addr

from tools.benchmarks.cpu import Stopwatch

BULK = 65_536
BULK_COUNT, WARM_UP = 2_048, 64
READ = 262_144  # yamux's window: measured, 1.4 × as fast as reading 64 KiB at a time
COUNT = TProtocol("/bench/count/1.0.0")
ANYWHERE = multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")


async def main() -> dict[str, float]:
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:  # noqa: ASYNC220 - before the clock
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        try:
            host = new_host()
            async with host.run(listen_addrs=[ANYWHERE]):
                peer = info_from_p2p_addr(multiaddr.Multiaddr(address))
                await host.connect(peer)
                await pour(await host.new_stream(peer.peer_id, [COUNT]), WARM_UP)
                stream = await host.new_stream(peer.peer_id, [COUNT])
                watch = Stopwatch(server.pid)
                await pour(stream, BULK_COUNT)
                wall, cpu = watch.read()
        finally:
            server.terminate()
    size = BULK_COUNT * BULK
    return {"mb_s": size / 1e6 / wall, "cpu_s_gb": cpu / (size / 1e9)}


async def pour(stream: INetStream, count: int) -> None:
    """Returns when the other side has said that it got everything."""
    data = bytes(BULK)
    for _ in range(count):
        await stream.write(data)
    await stream.close_write()
    answer = await stream.read(20)
    if int(answer) != count * BULK:
        raise RuntimeError(f"bytes were lost: {answer!r}")


async def serve() -> None:
    host = new_host()

    async def sink(stream: INetStream) -> None:
        count = 0
        try:
            while data := await stream.read(READ):
                count += len(data)
        except StreamEOF:
            pass
        await stream.write(b"%d" % count)
        await stream.close()

    async with host.run(listen_addrs=[ANYWHERE]):
        host.set_stream_handler(COUNT, sink)
        print(host.get_addrs()[0], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "serve":
        trio.run(serve)
    else:
        print(json.dumps(trio.run(main)))
