"""What seeds came to: mean, spread, and how sure a difference is."""

from dataclasses import dataclass
from statistics import mean, stdev

import scipy.stats


@dataclass
class Statistic:
    """A score of several seeds, or a difference that is paired by seed.

    Args:
        values (list[float]): A seed each.
    """

    values: list[float]

    @property
    def mean(self) -> float:
        return mean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation; None for a single value."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def half_interval(self) -> float | None:
        """Half the width of the mean's 95 % interval by Student's t; None for one."""
        if self.std is None:
            return None
        count = len(self.values)
        return float(scipy.stats.t.ppf(0.975, count - 1) * self.std / count**0.5)

    def as_score(self) -> str:
        """Write mean and standard deviation, such as 24.2 (1.1)."""
        return f'{self.mean:.1f}' + ('' if self.std is None else f' ({self.std:.1f})')

    def as_difference(self) -> str:
        """Write mean and interval, such as +2.0 ± 3.4; what is nothing has no sign."""
        sign = '' if round(self.mean, 1) == 0 else '+-'[self.mean < 0]
        half = self.half_interval
        return f'{sign}{abs(self.mean):.1f}' + (
            '' if half is None else f' ± {half:.1f}'
        )
