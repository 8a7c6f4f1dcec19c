"""Records: frames packed, sealed and cut out of a byte stream again (spec/channel.md §2).

Knows ciphers and lengths, not what frames mean. A record is `length u16 ‖ ciphertext`.
"""

from collections.abc import Iterator

from nzcore.base.errors import PeerError
from nzcore.crypto.aead import CountingCipher
from nzcore.proto.channel.config import HARD_RECORDS, TAG_BYTES
from nzcore.proto.channel.frames import DATA, HEADER, HEADER_BYTES

LENGTH_BYTES = 2
OVERHEAD = LENGTH_BYTES + TAG_BYTES
SMALL = 4096  # plaintext below which it costs less to copy a record than to hand over two buffers


class RecordWriter:
    """Packs frames into as few records as it can and seals them in order.

    Consecutive data of one stream becomes one DATA frame: this is what makes small messages cheap. A record is sealed
    when the next frame would take it past `data_bytes` and a header, so that bulk data goes one frame a record, in
    the length class that OpenSSL seals fastest.
    """

    __slots__ = (
        *("_data_at", "_data_full", "_limit", "_parts", "_queued", "_sealed", "_size"),
        *("bytes", "cipher", "data_room", "data_stream", "is_exhausted", "records", "total_bytes"),
    )

    def __init__(self, cipher: CountingCipher, data_bytes: int) -> None:
        self.cipher = cipher
        self.records = 0  # under the present key
        self.bytes = 0
        self.total_bytes = 0
        self.is_exhausted = False  # a record was not sealed, because the key had served for as many as it may
        self.data_stream = 0  # stream of the DATA frame that may still grow; 0: none
        self.data_room = 0  # bytes by which it may
        self._data_full = 0  # what `data_room` was when the frame began
        self._data_at = 0
        self._limit = data_bytes + HEADER_BYTES
        self._parts: list[bytes | memoryview] = []
        self._size = 0  # of the parts, the open DATA frame left out
        self._queued = 0
        self._sealed: list[bytes] = []

    @property
    def queued(self) -> int:
        """Bytes of plaintext waiting and of ciphertext not yet taken."""
        return self._queued + self._data_full - self.data_room

    def frame(self, kind: int, stream: int, payload: bytes = b"") -> None:
        """Appends one frame that is not DATA; its payload fits a record."""
        self.end_data()
        size = HEADER_BYTES + len(payload)
        if self._size + size > self._limit:
            self.seal()
        self._parts.append(HEADER.pack(kind, stream, len(payload)) + payload)
        self._size += size
        self._queued += size

    def data(self, stream: int, payload: bytes | memoryview) -> None:
        """Appends stream data. `payload` must not change afterwards: bytes, or a view of bytes."""
        size, at = len(payload), 0
        while at < size:
            if stream != self.data_stream or not self.data_room:
                self._begin_data(stream)
            step = min(size - at, self.data_room)
            if step == size:
                self._parts.append(payload)
            else:
                payload = memoryview(payload)  # slices without copies
                self._parts.append(payload[at : at + step])
            self.data_room -= step
            at += step

    def extend(self, payload: bytes, size: int) -> None:
        """As `data` for `data_stream`; `size` is the payload's, and at most `data_room`."""
        self._parts.append(payload)
        self.data_room -= size

    def single(self, stream: int, payload: bytes) -> bytes | None:
        """A record that holds `payload` as its only frame, to be sent at once: at half the cost of `data` and `take`.

        None, and nothing has happened, where something waits before it, or where it needs more than one record.
        """
        size = len(payload)
        if self._queued or self.data_stream or size + HEADER_BYTES > self._limit or self.records >= HARD_RECORDS:
            return None
        length, ciphertext = self._encrypt(HEADER.pack(DATA, stream, size) + payload)
        return length + ciphertext

    def end_data(self) -> None:
        """Completes the open DATA frame: what follows begins another."""
        if self.data_stream:
            size = self._data_full - self.data_room
            self._parts[self._data_at] = HEADER.pack(DATA, self.data_stream, size)
            self._size += HEADER_BYTES + size
            self._queued += HEADER_BYTES + size
            self.data_stream = self.data_room = self._data_full = 0

    def seal(self) -> None:
        """Seals what is packed as one record; nothing where nothing is."""
        self.end_data()
        if not self._size:
            return
        plaintext = b"".join(self._parts)
        self._parts = []
        if self.records >= HARD_RECORDS:
            self.is_exhausted = True
            self._queued -= self._size
            self._size = 0
            return
        length, ciphertext = self._encrypt(plaintext)
        if self._size < SMALL:
            self._sealed.append(length + ciphertext)
        else:
            self._sealed += (length, ciphertext)
        self._queued += OVERHEAD
        self._size = 0

    def take(self) -> list[bytes]:
        """All that is to be sent, in order: small records whole, others as their length and their ciphertext."""
        self.seal()
        sealed, self._sealed, self._queued = self._sealed, [], 0
        return sealed

    def switch(self, cipher: CountingCipher) -> None:
        """Seals what is packed under the old key; all that follows goes under the new one."""
        self.seal()
        self.cipher.wipe()
        self.cipher, self.records, self.bytes = cipher, 0, 0

    def drop(self) -> None:
        """Forgets everything that was not taken, and the key."""
        self._parts, self._sealed = [], []
        self._size = self._queued = self.data_stream = self.data_room = self._data_full = 0
        self.cipher.wipe()

    def _encrypt(self, plaintext: bytes) -> tuple[bytes, bytes]:
        """The next record: its length as it is sent, and its ciphertext."""
        ciphertext = self.cipher.encrypt(b"", plaintext)
        size = len(ciphertext)
        self.records += 1
        self.bytes += size + LENGTH_BYTES
        self.total_bytes += size + LENGTH_BYTES
        return size.to_bytes(LENGTH_BYTES, "big"), ciphertext

    def _begin_data(self, stream: int) -> None:
        self.end_data()
        if self._size + HEADER_BYTES >= self._limit:
            self.seal()
        self.data_stream, self._data_at = stream, len(self._parts)
        self.data_room = self._data_full = self._limit - HEADER_BYTES - self._size
        self._parts.append(b"")  # the header, once the length is known


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
        *Raises* PeerError `channel.bad-record` for an impossible length, `channel.key-exhausted`,
        `crypto.not-authentic`.
        """
        self.total_bytes += len(data)
        view = memoryview(data)
        at, end = 0, len(view)
        if self._held:
            at = self._top_up(view)
            if self._record_end(self._held, 0) > len(self._held):
                return
            whole, self._held = self._held, b""
            yield self._open(memoryview(whole)[LENGTH_BYTES:])
        while (stop := self._record_end(view, at)) <= end:
            yield self._open(view[at + LENGTH_BYTES : stop])
            at = stop
        self._held = bytes(view[at:])

    def open_single(self, data: bytes | memoryview) -> bytes | None:
        """As `open` where `data` is exactly one record, as it is whenever two sides take turns: at half the cost.

        None, and nothing has happened, where it is anything else. *Raises* as `open`.
        """
        size = len(data)
        if size <= OVERHEAD or (data[0] << 8 | data[1]) + LENGTH_BYTES != size or self._held:
            return None
        self.total_bytes += size
        return self._open(data[LENGTH_BYTES:])

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
        if len(data) - at < LENGTH_BYTES:
            return len(data) + 1
        size = data[at] << 8 | data[at + 1]
        if size <= TAG_BYTES:
            raise PeerError("channel.bad-record", size=size)
        return at + LENGTH_BYTES + size

    def _open(self, ciphertext: bytes | memoryview) -> bytes:
        if self.records >= HARD_RECORDS:
            raise PeerError("channel.key-exhausted")
        plaintext = self.cipher.decrypt(b"", ciphertext)
        self.records += 1
        self.bytes += len(ciphertext) + LENGTH_BYTES
        return plaintext
