"""Images that are decoded once, for trainings that see them hundreds of times."""

import numpy as np
from mmcv.transforms import LoadImageFromFile

from ..registry import register_transform


@register_transform
class LoadImageOnce(LoadImageFromFile):
    """`LoadImageFromFile` that keeps what it has decoded in memory.

    For training sets that fit there, in each process that loads them: height x width x
    3 bytes an image. Workers of a data loader forget them with each epoch unless they
    are persistent.

    Args:
        *args: Those of `LoadImageFromFile`.
        **kwargs: Likewise.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.images: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict | None:
        """Load the image at `img_path`, see `LoadImageFromFile`."""
        path = results['img_path']
        if path not in self.images:
            loaded = super().transform(results)
            if loaded is None:
                return None
            self.images[path] = loaded['img']
        # A copy: later transforms may write into it.
        image = self.images[path].copy()
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
