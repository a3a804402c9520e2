"""Work on many files at once, with a progress bar and results in order."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar('Item')
Result = TypeVar('Result')


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    what: str,
    chunk: int = 1,
) -> Iterator[Result]:
    """Apply a function to items, in processes, and yield results in the items' order.

    The results do not depend on the number of workers. An error of one item stops the
    others.

    Args:
        function (Callable): Of one item; a function of a module, or a `partial` of one.
        items (Sequence): The items.
        workers (int): Number of processes; 1 works in this one.
        what (str): What is being done, shown before the bar.
        chunk (int): Items handed to a process at once; more for very short work.
    """
    bar = dict(
        desc=what,
        total=len(items),
        unit='file',
        dynamic_ncols=True,
        # A log file gets a line now and then, not ten a second.
        mininterval=0.5 if sys.stderr.isatty() else 15,
        delay=1,
    )
    workers = min(workers, len(items))
    if workers <= 1:
        yield from tqdm(map(function, items), **bar)
        return
    # Leaving the pool, by an error or Ctrl-C too, stops its processes. They leave the
    # signal to this one.
    with get_context('fork').Pool(
        workers, signal.signal, (signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        yield from tqdm(pool.imap(function, items, chunk), **bar)
