"""pyzmq PUB/SUB with CURVE between two processes over TCP loopback; runs in the peers' environment, prints one JSON
object. Topic and body are two parts; a Python handler takes each message, as with the fabric."""

import json
import subprocess
import sys
import time

import zmq

MESSAGE, MESSAGES = 100, 400_000
TOPIC = b"bench.topic"


def main() -> dict[str, float]:
    public, secret = zmq.curve_keypair()
    server_public, server_secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.PUB) as pub, context.socket(zmq.PULL) as back:
        pub.curve_server, pub.curve_publickey, pub.curve_secretkey = True, server_public, server_secret
        pub.set(zmq.XPUB_NODROP, 1)  # waits at the high-water mark, rather than drop
        port, back_port = pub.bind_to_random_port("tcp://127.0.0.1"), back.bind_to_random_port("tcp://127.0.0.1")
        keys = [key.decode() for key in (public, secret, server_public)]
        with subprocess.Popen([sys.executable, __file__, "hear", str(port), str(back_port), *keys]):
            while not back.poll(20):
                pub.send_multipart([TOPIC, b"?"])  # until it is subscribed
            back.recv()
            while back.poll(50):
                back.recv()
            pour(pub, back, MESSAGES // 10)
            begun, cpu = time.perf_counter(), time.process_time()
            theirs = pour(pub, back, MESSAGES)
            spent, cpu = time.perf_counter() - begun, time.process_time() - cpu + theirs
            pub.send_multipart([TOPIC, b"."])
            return {"per_s": MESSAGES / spent, "cpu_us": cpu / MESSAGES * 1e6}


def pour(pub: zmq.Socket, back: zmq.Socket, count: int) -> float:
    """CPU seconds of the other side, when it has got them all."""
    body = bytes(MESSAGE)
    for _ in range(count):
        pub.send_multipart([TOPIC, body])
    pub.send_multipart([TOPIC, b"!"])
    heard, spent = back.recv_json()
    if heard != count:
        raise RuntimeError(f"{count - heard} messages were lost")
    return float(spent)


def hear(port: str, back_port: str, public: str, secret: str, server: str) -> None:
    heard, cpu = 0, time.process_time()
    with zmq.Context() as context, context.socket(zmq.SUB) as sub, context.socket(zmq.PUSH) as back:
        sub.curve_publickey, sub.curve_secretkey, sub.curve_serverkey = (
            public.encode(),
            secret.encode(),
            server.encode(),
        )
        sub.subscribe(b"bench.")
        sub.connect(f"tcp://127.0.0.1:{port}")
        back.connect(f"tcp://127.0.0.1:{back_port}")

        def handle(topic: bytes, body: bytes) -> bool:
            nonlocal heard, cpu
            if len(body) == MESSAGE:
                heard += 1
            elif body == b"?":
                back.send(b"?")
            elif body == b"!":
                now = time.process_time()
                back.send_json([heard, now - cpu])
                heard, cpu = 0, now
            return body != b"."

        while handle(*sub.recv_multipart()):
            pass


if __name__ == "__main__":
    if sys.argv[1] == "hear":
        hear(*sys.argv[2:])
    else:
        print(json.dumps(main()))
