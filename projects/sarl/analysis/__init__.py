from .cost import count_parameters, ms_per_image
from .matches import Matches, match_images

__all__ = ['Matches', 'count_parameters', 'match_images', 'ms_per_image']
