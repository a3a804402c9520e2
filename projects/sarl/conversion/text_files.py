"""Annotation files of text, whatever wrote them."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines that are not blank, without line ends, byte order mark and spaces.

    Args:
        path (Path): The file, in UTF-8 or ASCII.

    Yields:
        tuple[int, str]: The number of the line, from 1, and its text.

    Raises:
        InputError: If the file is missing, or a line is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}.') from None
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            text = line.decode('utf-8-sig').strip()
        except UnicodeDecodeError:
            raise InputError(
                f'{path}, line {number}: not UTF-8 text. Save the file as UTF-8.'
            ) from None
        if text:
            yield number, text
