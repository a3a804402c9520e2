"""Files that are whole or absent, however a run ends."""

import json
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write so that `path` exists only once it holds all of `data`."""
    part = path.with_name(path.name + '.part')
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict | list, indent: int | None = None) -> None:
    """Write `content` as JSON, whole or not at all."""
    write_whole(path, json.dumps(content, indent=indent).encode())
