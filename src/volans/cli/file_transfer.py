"""A file as messages and back, whole and verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from volans.cli.failures import CommandFailedError
from volans.cli.marks import Mark, pack, unpack

MAX_CHUNK_BYTES = 32 * 1024


def file_messages(
    file: BinaryIO, name: str, length_bytes: int | None, chunk_bytes: int
) -> Iterator[tuple[Mark, bytes]]:
    """The messages that carry a file: begin, data, end with length and SHA-256."""
    digest = hashlib.sha256()
    sent_bytes = 0
    yield Mark.FILE_BEGIN, pack({"name": name, "length_bytes": length_bytes})
    while chunk := file.read(chunk_bytes):
        digest.update(chunk)
        sent_bytes += len(chunk)
        yield Mark.FILE_DATA, chunk
    yield Mark.FILE_END, pack({"length_bytes": sent_bytes, "sha256": digest.hexdigest()})


class FileReceiver:
    """Takes the messages of one sent file: of the first session that begins one.

    Attributes: ``name`` and ``length_bytes`` as announced (None before), ``received_bytes``,
    ``is_complete``. Raises CommandFailedError when what came is not what was sent.
    """

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self._session_id: int | None = None
        self.name: str | None = None
        self.length_bytes: int | None = None
        self.received_bytes = 0
        self.is_complete = False

    @property
    def has_begun(self) -> bool:
        """Whether the beginning has come."""
        return self._session_id is not None

    @property
    def sha256(self) -> str:
        """Of what was received so far."""
        return self._digest.hexdigest()

    def accept(self, mark: Mark, payload: Any, session_id: int) -> None:
        """Take one message of a file (anything with the buffer protocol)."""
        if self.is_complete:
            return
        if mark is Mark.FILE_BEGIN:
            if self._session_id is None:
                fields = unpack(bytes(payload)) or {}
                self._session_id = session_id
                self.name = str(fields.get("name"))
                length = fields.get("length_bytes")
                self.length_bytes = length if isinstance(length, int) else None
            return
        if self._session_id is None:
            raise CommandFailedError(
                "a file was already on its way: start the subscriber before the publisher"
            )
        if session_id != self._session_id:
            return
        if mark is Mark.FILE_DATA:
            self._output.write(payload)
            self._digest.update(payload)
            self.received_bytes += len(payload)
        elif mark is Mark.FILE_END:
            self._verify(unpack(bytes(payload)) or {})

    def _verify(self, fields: dict[str, Any]) -> None:
        length, sha256 = fields.get("length_bytes"), fields.get("sha256")
        if length != self.received_bytes:
            raise CommandFailedError(
                f"{self.received_bytes} bytes received of {length}: the file is not whole"
            )
        if sha256 != self.sha256:
            raise CommandFailedError(
                f"the file differs: sha256 {self.sha256} received, {sha256} sent"
            )
        self.is_complete = True


class ReplacingFile:
    """A file under a name of its own until it is whole, then it takes the place of ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.file: BinaryIO = self._part.open("wb")

    def keep(self) -> None:
        """What was written becomes the file."""
        self.file.close()
        self._part.replace(self.path)

    def close(self) -> None:
        """Drop what was written unless it was kept."""
        self.file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> ReplacingFile:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
