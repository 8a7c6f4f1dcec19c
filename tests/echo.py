"""A protocol for tests: what comes goes back."""

from nzcore.net.stream import Stream


async def echo(stream: Stream) -> None:
    """Sends back what it receives, until the other side ends."""
    while chunk := await stream.receive_some():
        await stream.send_all(chunk)
    await stream.send_eof()
