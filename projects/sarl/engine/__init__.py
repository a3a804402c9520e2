from . import checkpoint
from .autocast import AutocastOptimWrapper
from .channels_last import ChannelsLastHook
from .progress_bar import ProgressBarHook
from .sal_hook import SALHook

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'ProgressBarHook',
    'SALHook',
    'checkpoint',
]
