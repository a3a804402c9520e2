"""Work on many files at once, with a progress bar and results in order."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

from ..progress import progress_bar

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
    others, and so does the end of this process, however it comes.

    Args:
        function (Callable): Of one item; a function of a module, or a `partial` of one.
        items (Sequence): The items.
        workers (int): Number of processes; 1 works in this one.
        what (str): What is being done, shown before the bar.
        chunk (int): Items handed to a process at once; more for very short work.
    """
    bar = dict(desc=what, total=len(items), unit='file', delay=1)
    workers = min(workers, len(items))
    if workers <= 1:
        yield from progress_bar(map(function, items), **bar)
        return
    # A fork needs no second import of torch; elsewhere it is not safe.
    context = multiprocessing.get_context(
        'fork' if sys.platform == 'linux' else 'spawn'
    )
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        threads = cv2.getNumThreads()
        try:
            # A fork inherits the locks of OpenCV's threads, which nobody would release.
            cv2.setNumThreads(0)
            results = pool.map(function, items, chunksize=chunk)
            cv2.setNumThreads(threads)
            yield from progress_bar(results, **bar)
        except BaseException:
            # Left alone, the pool would wait for the items in hand.
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _start_worker() -> None:
    """Use one thread, leave Ctrl-C to the parent, and end when the parent is killed."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
