"""Scores as tables for people."""

from prettytable import PrettyTable, TableStyle


def score_table(rows: dict[str, float]) -> str:
    """Write scores as a table, a row each; '-' where there is nothing to score.

    Args:
        rows (dict[str, float]): Fractions by name.
    """
    table = _table(['score', ''])
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
    table = _table(['class', *names])
    table.add_rows(
        [
            [class_, *(_text(rows[name]) for name in names)]
            for class_, rows in by_class.items()
        ]
    )
    return table.get_string()


def _table(names: list[str]) -> PrettyTable:
    table = PrettyTable(names)
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'r'
    table.align[names[0]] = 'l'
    return table


def _text(value: float) -> str:
    return '-' if value == -1 else f'{value:.3f}'
