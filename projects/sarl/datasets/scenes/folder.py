"""The folder of a data set: whose it is, and what it may hold."""

import json
import re
from pathlib import Path

from ...errors import InputError
from ...files import write_json

OURS = re.compile(r'(train|val)(_\d{5,}\.jpg|\.json)(?P<part>\.part)?')


def read_recipe(note: Path) -> dict | None:
    """The recipe in the file `note`; None if there is none or it is not sarl's."""
    try:
        recipe = json.loads(note.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return recipe if isinstance(recipe, dict) and 'generator' in recipe else None


def prepare_folder(out: Path, recipe: dict) -> None:
    """Leave in a folder only what `recipe` made, and note the recipe there.

    Args:
        out (Path): The folder; it is made if there is none.
        recipe (dict): All that the data set follows from.

    Raises:
        InputError: If the folder holds something else than a data set of ours.
    """
    note = out / 'recipe.json'
    present = {path.name for path in out.iterdir()} if out.exists() else set()
    known = read_recipe(note)
    if present - {'recipe.json.part'} and known is None:
        raise InputError(
            f'{out} is not empty and holds no recipe.json of sarl; '
            'name a new or empty folder, or move its files away.'
        )
    (out / 'images').mkdir(parents=True, exist_ok=True)
    (out / 'annotations').mkdir(exist_ok=True)
    # The annotations go first and the new recipe comes last, so that a kill in
    # between leaves a folder that is seen to be unfinished or of another recipe.
    for folder in ('annotations', 'images'):
        for path in (out / folder).iterdir():
            match = OURS.fullmatch(path.name)
            if match and (match['part'] or known != recipe):
                path.unlink()
    if known != recipe:
        write_json(note, recipe)
