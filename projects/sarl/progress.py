"""The progress bar that everything shows."""

import sys

from mmengine.dist import is_main_process
from tqdm import tqdm


def progress_bar(iterable=None, **kwargs) -> tqdm:
    """Open a bar on standard error, on the main process only.

    Args:
        iterable (Iterable, optional): What is gone through.
        **kwargs: Those of `tqdm`.
    """
    return tqdm(
        iterable,
        dynamic_ncols=True,
        # A log file gets a line now and then, not ten a second.
        mininterval=0.5 if sys.stderr.isatty() else 15,
        disable=not is_main_process(),
        **kwargs,
    )
