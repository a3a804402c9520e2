"""Folders with links in them."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError


def walk(root: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Do what `os.walk` does, but by name, and follow links to folders.

    A folder that links lead to again is left out.

    Args:
        root (str | Path): The folder to start in.

    Yields:
        tuple[str, list[str], list[str]]: A folder, and the names of folders and files
        in it; those that are taken out of the former are not walked.

    Raises:
        InputError: If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f'folder {error.filename} cannot be read: {error.strerror}. Change its '
            f'permissions or its place.'
        )

    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        # A link may lead back up.
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        yield folder, subfolders, sorted(files)
