"""Where the frameworks' own messages go while a bar is shown."""

import contextlib
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def console_to(log: Path, errors: bool = False) -> Iterator[None]:
    """Append what is printed to a file; warnings are dropped.

    Args:
        log (Path): The file.
        errors (bool): Send standard error too, and an exception's traceback, which is
            raised all the same. Without it progress bars stay in sight.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open('a', buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file) if errors else contextlib.nullcontext(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        try:
            yield
        except Exception:
            if errors:
                traceback.print_exc()
            raise
