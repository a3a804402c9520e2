"""Imports MMDetection and MMYOLO, of OpenMMLab's releases or of the maintained forks.

MMYOLO 0.6.0 refuses mmcv from 2.1.0 on when it is imported. The forks' mmcv is 2.3,
and what MMYOLO uses of it works as before: the tests of this project pass on both.
So MMYOLO sees a version that it accepts, only while it is imported and only where
mmcv is of the series that was tried. On the forks sarl has therefore to be imported
before MMYOLO; a config's `custom_imports` is early enough, since reading
`_base_ = 'mmyolo::...'` does not import MMYOLO.
"""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import mmcv
from mmengine.utils import digit_version

# onedl-mmcv 2.3.6 is what was tried.
TRIED_FROM, TRIED_BEFORE = '2.3.0', '2.4.0'
ACCEPTED = '2.0.1'


def import_frameworks() -> None:
    """Import MMDetection and MMYOLO.

    Raises:
        ImportError: If one is not installed or mmcv has no ops.
        AssertionError: If the versions do not go together.
    """
    # Before the version changes: it has a check of its own. The fork's prints that a
    # package of its makers is missing, where a tool's own output goes.
    with redirect_stdout(StringIO()):
        import mmdet.datasets  # noqa: F401

    with accepted_version():
        import mmyolo  # noqa: F401


@contextmanager
def accepted_version() -> Iterator[None]:
    """Let mmcv state a version that MMYOLO accepts where it is known to work."""
    version = mmcv.__version__
    first, end = digit_version(TRIED_FROM), digit_version(TRIED_BEFORE)
    if first <= digit_version(version) < end:
        mmcv.__version__ = ACCEPTED
    try:
        yield
    finally:
        mmcv.__version__ = version
