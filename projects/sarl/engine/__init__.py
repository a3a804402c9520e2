from . import checkpoint
from .autocast import AutocastOptimWrapper
from .channels_last import ChannelsLastHook
from .progress_bar import ProgressBarHook

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'ProgressBarHook',
    'checkpoint',
]
