from .cost import count_parameters, flops, forward_ms, ms_per_image
from .matches import Matches, match_images

__all__ = [
    'Matches',
    'count_parameters',
    'flops',
    'forward_ms',
    'match_images',
    'ms_per_image',
]
