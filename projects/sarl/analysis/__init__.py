from .cost import (
    Cost,
    cost_of_detector,
    costs_of_configs,
    count_parameters,
    flops,
    forward_ms,
    ms_per_image,
)
from .matches import Matches, match_images

__all__ = [
    'Cost',
    'Matches',
    'cost_of_detector',
    'costs_of_configs',
    'count_parameters',
    'flops',
    'forward_ms',
    'match_images',
    'ms_per_image',
]
