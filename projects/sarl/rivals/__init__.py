"""What SARL and SAL are compared with; `import sarl` does not load it."""

from .finer_grid import FinerGridPAFPN
from .nwd_loss import NWDLoss
from .spd_conv import spd_backbone

__all__ = ['FinerGridPAFPN', 'NWDLoss', 'spd_backbone']
