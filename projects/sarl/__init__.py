"""SARL + SAL: a neck and a box loss for tiny objects in aerial images.

Importing this package registers its parts in the registries of MMYOLO and of
MMDetection, and lets torch >= 2.6 load MMEngine's checkpoints safely.
"""

try:
    import mmdet  # noqa: F401
    import mmyolo  # noqa: F401
except (ImportError, AssertionError) as error:
    raise ImportError(
        f'sarl needs mmyolo, mmdet and mmcv >= 2.0.0, < 2.1.0 with its ops, but '
        f'importing them failed: {error}. Run `make setup` in the repository, or '
        f'`mim install "mmcv>=2.0.0,<2.1.0"` for a torch that has mmcv wheels.'
    ) from error

from . import datasets, engine, heads, losses, metrics, necks
from .version import __version__

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'heads',
    'losses',
    'metrics',
    'necks',
]
