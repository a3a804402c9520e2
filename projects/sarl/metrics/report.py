"""Scores as tables for people."""

from ..markdown import markdown_table

# AI-TOD's rows as tables head them, and their keys.
AITOD_COLUMNS = {
    'AP': 'AP',
    'AP50': 'AP_50',
    'AP75': 'AP_75',
    'APvt': 'AP_vt',
    'APt': 'AP_t',
    'APs': 'AP_s',
    'APm': 'AP_m',
}


def score_table(rows: dict[str, float]) -> str:
    """Write scores as a table, a row each; '-' where there is nothing to score.

    Args:
        rows (dict[str, float]): Fractions by name.
    """
    table = markdown_table(['score', ''])
    table.add_rows([[name, _text(value)] for name, value in rows.items()])
    return table.get_string()


def class_table(by_class: dict[str, dict[str, float]]) -> str:
    """Write the AP and oLRP of each class as a table, a row each.

    Args:
        by_class (dict[str, dict[str, float]]): Fractions by class and name.
    """
    names = [
        name
        for name in next(iter(by_class.values()), {})
        if name.removeprefix('coco_').startswith('AP') or name.endswith('oLRP')
    ]
    table = markdown_table(['class', *names])
    table.add_rows(
        [
            [class_, *(_text(rows[name]) for name in names)]
            for class_, rows in by_class.items()
        ]
    )
    return table.get_string()


def _text(value: float) -> str:
    return '-' if value == -1 else f'{value:.3f}'
