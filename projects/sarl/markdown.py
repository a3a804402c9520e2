"""Tables in Markdown."""

from collections.abc import Sequence

from prettytable import PrettyTable, TableStyle


def markdown_table(names: Sequence[str]) -> PrettyTable:
    """Open a Markdown table, numbers to the right of a first column of names.

    Args:
        names (Sequence[str]): The header.
    """
    table = PrettyTable(names)
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'r'
    table.align[names[0]] = 'l'
    return table
