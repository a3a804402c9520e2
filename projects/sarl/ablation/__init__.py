from .grid import Grid, read_grid
from .report import ablate
from .runs import run_grid
from .summary import markdown, summarise

__all__ = [
    'Grid',
    'ablate',
    'markdown',
    'read_grid',
    'run_grid',
    'summarise',
]
