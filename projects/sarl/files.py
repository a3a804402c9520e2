"""Files that are whole or absent, however a run ends."""

import json
import os
from contextlib import suppress
from pathlib import Path

from .errors import InputError


def write_whole(path: Path, data: bytes) -> None:
    """Write so that `path` exists only once it holds all of `data`.

    Args:
        path (Path): The file.
        data (bytes): What it is to hold.

    Raises:
        InputError: If it cannot be written, on a full disk for instance.
    """
    part = path.with_name(path.name + '.part')
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(
                f'{path} cannot be written: {error.strerror}. Make room or choose '
                f'another place, and run it again.'
            ) from None
        raise


def write_json(path: Path, content: dict | list, indent: int | None = None) -> None:
    """Write `content` as JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=indent).encode())
