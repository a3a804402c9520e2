"""The lists of configs that `mim search` reads, in step with the folder of configs.

Each family has a `metafile.yml`, whose `Collections` are written by hand; its `Models`
are the family's configs, described by their names. `model-index.yml` lists the
metafiles.
"""

import re
from pathlib import Path

import yaml

from ..errors import InputError
from ..files import write_whole

DATA_SETS = {
    'aitod': 'AI-TOD',
    'aitodv2': 'AI-TOD-v2',
    'dotav2': 'DOTA-v2.0',
    'visdrone': 'VisDrone2019-DET',
    'scenes': 'embedded scenes',
}
# Parts of configs, and experiments.
NOT_FAMILIES = ('_base_', 'ablation')
_NAME = re.compile(r'.+_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<epochs>\d+)e_(?P<data>\w+)')
_MODELS = 'Models:\n'


def metafiles(root: Path) -> dict[Path, str]:
    """Tell what the lists have to say.

    Args:
        root (Path): The repository. A folder of `configs/` is a family, unless it is
            one of `NOT_FAMILIES`.

    Returns:
        dict[Path, str]: Text by file.

    Raises:
        InputError: If a family has no metafile to begin with, or a config a name that
            does not tell what it is trained on.
    """
    texts = {}
    for family in sorted((root / 'configs').iterdir()):
        configs = sorted(family.glob('*.py'))
        if configs and family.name not in NOT_FAMILIES:
            path = family / 'metafile.yml'
            texts[path] = _metafile(path, configs, root)
    imports = [f'  - {path.relative_to(root).as_posix()}\n' for path in texts]
    texts[root / 'model-index.yml'] = 'Import:\n' + ''.join(imports)
    return texts


def write_metafiles(root: Path) -> list[Path]:
    """Write the lists that are out of step.

    Args:
        root (Path): The repository.

    Returns:
        list[Path]: The files that were written.

    Raises:
        InputError: See `metafiles`.
    """
    changed = []
    for path, text in metafiles(root).items():
        if not path.is_file() or path.read_text() != text:
            write_whole(path, text.encode())
            changed.append(path)
    return changed


def _metafile(path: Path, configs: list[Path], root: Path) -> str:
    if not path.is_file():
        raise InputError(
            f'{path} does not exist. Write its Collections first, as in '
            f"configs/atss/metafile.yml: the detector's name, architecture and paper."
        )
    by_hand = path.read_text().partition(_MODELS)[0]
    collection = yaml.safe_load(by_hand)['Collections'][0]['Name']
    return f'{by_hand.rstrip()}\n\n{_MODELS}' + ''.join(
        _model(config, collection, root) for config in configs
    )


def _model(config: Path, collection: str, root: Path) -> str:
    told = _NAME.fullmatch(config.stem)
    if told is None or told['data'] not in DATA_SETS:
        raise InputError(
            f'{config}: the name of a config ends with '
            f'{{gpus}}xb{{batch}}-{{epochs}}e_{{dataset}}, the data set being one of '
            f'{", ".join(DATA_SETS)}. Rename it, or add the data set to DATA_SETS.'
        )
    return f"""\
  - Name: {config.stem}
    In Collection: {collection}
    Config: {config.relative_to(root).as_posix()}
    Metadata:
      Training Data: {DATA_SETS[told['data']]}
      Epochs: {told['epochs']}
      Batch Size: {int(told['gpus']) * int(told['batch'])}
"""
