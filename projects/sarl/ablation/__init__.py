from .grid import Grid, read_grid
from .report import ablate
from .runs import run_grid
from .summary import markdown, paired_difference, summarise

__all__ = [
    'Grid',
    'ablate',
    'markdown',
    'paired_difference',
    'read_grid',
    'run_grid',
    'summarise',
]
