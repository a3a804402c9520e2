"""SARL + SAL: a neck and a box loss for tiny objects in aerial images.

Importing this package registers its parts in the registries of MMYOLO and of
MMDetection, and lets torch >= 2.6 load MMEngine's checkpoints safely.
"""

try:
    from .compat import import_frameworks

    import_frameworks()
except (ImportError, AssertionError) as error:
    raise ImportError(
        f'sarl needs mmdet, mmyolo and an mmcv with its ops that go together, but '
        f'importing them failed: {error}. Run `make setup` in the repository, or '
        f'`mim install "mmcv>=2.0.0,<2.1.0" mmdet==3.3.0` for a torch that has mmcv '
        f'wheels; docs/install.md lists the versions.'
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
