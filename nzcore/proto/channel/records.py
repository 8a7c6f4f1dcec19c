"""Records: frames packed, sealed and cut out of a byte stream again (spec/channel.md §2).

Knows ciphers and lengths, not what frames mean. A record is `length u16 ‖ ciphertext`.
"""

from collections.abc import Iterator

from nzcore.base.errors import PeerError
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel.config import TAG_BYTES
from nzcore.proto.channel.frames import DATA, HEADER, HEADER_BYTES


class RecordWriter:
    """Packs frames into as few records as it can and seals them in order.

    Consecutive data of one stream becomes one DATA frame: this is what makes small messages cheap. A record is sealed
    when the next frame would take it past `data_bytes` and a header, so that bulk data goes one frame a record, in
    the length class that OpenSSL seals fastest.
    """

    __slots__ = (
        "_data_at",
        "_data_bytes",
        "_data_size",
        "_data_stream",
        "_parts",
        "_sealed",
        "_size",
        "bytes",
        "cipher",
        "queued",
        "records",
        "total_bytes",
    )

    def __init__(self, cipher: CountingCipher, data_bytes: int) -> None:
        self.cipher = cipher
        self.records = 0  # under the present key
        self.bytes = 0
        self.total_bytes = 0
        self.queued = 0  # plaintext waiting and ciphertext not yet taken
        self._data_bytes = data_bytes
        self._parts: list[bytes | memoryview] = []
        self._size = 0
        self._data_stream = 0  # stream of the DATA frame that may still grow; 0: none
        self._data_at = 0
        self._data_size = 0
        self._sealed: list[bytes] = []

    def frame(self, kind: int, stream: int, payload: bytes = b"") -> None:
        """Appends one frame that is not DATA; its payload fits a record."""
        size = HEADER_BYTES + len(payload)
        if self._size and self._size + size > self._data_bytes + HEADER_BYTES:
            self.seal()
        self._end_data()
        self._parts.append(HEADER.pack(kind, stream, len(payload)) + payload)
        self._size += size
        self.queued += size

    def data(self, stream: int, payload: bytes | memoryview) -> None:
        """Appends stream data. `payload` must not change afterwards: bytes, or a view of bytes."""
        size = len(payload)
        self.queued += size
        if stream == self._data_stream and self._data_size + size <= self._data_bytes and self._fits(size):
            self._parts.append(payload)
            self._data_size += size
            self._size += size
            return
        at = 0
        while at < size:
            if stream != self._data_stream or self._data_size >= self._data_bytes or not self._fits(1):
                self._begin_data(stream)
            step = min(size - at, self._data_bytes - self._data_size, self._room())
            self._parts.append(payload if step == size else payload[at : at + step])
            self._data_size += step
            self._size += step
            at += step

    def seal(self) -> None:
        """Seals what is packed as one record; nothing where nothing is."""
        if not self._size:
            return
        self._end_data()
        plaintext = b"".join(self._parts)
        ciphertext = self.cipher.encrypt(b"", plaintext)
        self._sealed.append(len(ciphertext).to_bytes(2, "big"))
        self._sealed.append(ciphertext)
        added = TAG_BYTES + 2
        self.queued += added
        self.records += 1
        self.bytes += self._size + added
        self.total_bytes += self._size + added
        self._parts = []
        self._size = 0

    def take(self) -> list[bytes]:
        """All that is to be sent, in order: each record as its length and its ciphertext."""
        self.seal()
        sealed, self._sealed, self.queued = self._sealed, [], 0
        return sealed

    def switch(self, cipher: CountingCipher) -> None:
        """Seals what is packed under the old key; all that follows goes under the new one."""
        self.seal()
        self.cipher.wipe()
        self.cipher, self.records, self.bytes = cipher, 0, 0

    def drop(self) -> None:
        """Forgets everything that was not taken, and the key."""
        self._parts, self._sealed, self._size, self._data_stream, self.queued = [], [], 0, 0, 0
        self.cipher.wipe()

    def _fits(self, size: int) -> bool:
        return self._size + size <= self._data_bytes + HEADER_BYTES

    def _room(self) -> int:
        return self._data_bytes + HEADER_BYTES - self._size

    def _begin_data(self, stream: int) -> None:
        self._end_data()
        if self._room() <= HEADER_BYTES:
            self.seal()
        self._data_stream, self._data_at, self._data_size = stream, len(self._parts), 0
        self._parts.append(b"")  # the header, once the length is known
        self._size += HEADER_BYTES
        self.queued += HEADER_BYTES

    def _end_data(self) -> None:
        if self._data_stream:
            self._parts[self._data_at] = HEADER.pack(DATA, self._data_stream, self._data_size)
            self._data_stream = 0


class RecordReader:
    """Cuts records out of a byte stream, however it arrives, and opens them in order."""

    __slots__ = ("_held", "bytes", "cipher", "records", "total_bytes")

    def __init__(self, cipher: CountingCipher) -> None:
        self.cipher = cipher
        self.records = 0  # under the present key
        self.bytes = 0
        self.total_bytes = 0
        self._held = b""  # an incomplete record, at most 65,536 bytes

    def open(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Plaintexts of the records that `data` completes; lazily, so that a new key counts from the next record on.

        Consume it to its end: what is incomplete is kept only then.
        *Raises* PeerError `channel.bad-record` for an impossible length, `crypto.not-authentic`.
        """
        self.total_bytes += len(data)
        view = memoryview(data)
        at, end = 0, len(view)
        if self._held:
            at = self._top_up(view)
            if self._record_end(self._held, 0) > len(self._held):
                return
            whole, self._held = self._held, b""
            yield self._open(whole[2:])
        while (stop := self._record_end(view, at)) <= end:
            yield self._open(view[at + 2 : stop])
            at = stop
        self._held = bytes(view[at:])

    def switch(self, cipher: CountingCipher) -> None:
        """All records from the next on are opened under `cipher`."""
        self.cipher.wipe()
        self.cipher, self.records, self.bytes = cipher, 0, 0

    def drop(self) -> None:
        """Forgets an incomplete record, and the key."""
        self._held = b""
        self.cipher.wipe()

    def _top_up(self, view: memoryview) -> int:
        """Moves from `view` what the record that is held incomplete still lacks; says how many bytes that was."""
        taken = 0
        if len(self._held) == 1:  # not even its length is known
            taken = len(view[:1])
            self._held += view[:1]
        if len(self._held) > 1:
            lacking = view[taken : taken + self._record_end(self._held, 0) - len(self._held)]
            taken += len(lacking)
            self._held += lacking
        return taken

    @staticmethod
    def _record_end(data: bytes | memoryview, at: int) -> int:
        """Where the record that begins at `at` ends; past all data while its length is not known.

        *Raises* PeerError `channel.bad-record`.
        """
        if len(data) - at < 2:
            return len(data) + 1
        size = data[at] << 8 | data[at + 1]
        if size <= TAG_BYTES:
            raise PeerError("channel.bad-record", size=size)
        return at + 2 + size

    def _open(self, ciphertext: bytes | memoryview) -> bytes:
        plaintext = self.cipher.decrypt(b"", ciphertext)
        self.records += 1
        self.bytes += len(ciphertext) + 2
        return plaintext
