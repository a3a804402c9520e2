"""The lists of configs that `mim search` reads."""

import shutil
from collections import Counter

import pytest
import yaml
from conftest import ROOT
from mmengine.config import Config

from sarl.analysis.metafiles import metafiles, write_metafiles
from sarl.errors import InputError


def read(path):
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope='module')
def models():
    """All models that the index leads to."""
    return [
        model
        for path in read(ROOT / 'model-index.yml')['Import']
        for model in read(ROOT / path)['Models']
    ]


def test_each_config_of_the_zoo_is_listed_once_and_each_entry_exists(models):
    listed = Counter(model['Config'] for model in models)
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'configs').glob('*/*.py')
        if path.parent.name not in ('_base_', 'ablation')
    }
    hint = 'Run `python tools/metafiles.py` and commit what it writes.'
    assert set(listed) == there, hint
    assert set(listed.values()) == {1}, hint
    assert all(path.read_text() == text for path, text in metafiles(ROOT).items()), hint


def test_entries_tell_what_the_configs_say(models):
    """The last one of each family: epochs, batch of all GPUs, data set."""
    types = {
        'AI-TOD': 'AITODDataset',
        'AI-TOD-v2': 'AITODv2Dataset',
        'DOTA-v2.0': 'DOTAv2Dataset',
        'VisDrone2019-DET': 'VisDroneDataset',
    }
    for model in {model['In Collection']: model for model in models}.values():
        cfg = Config.fromfile(ROOT / model['Config'])
        metadata = model['Metadata']
        assert metadata['Epochs'] == cfg.train_cfg.max_epochs
        assert metadata['Batch Size'] == 8 * cfg.train_dataloader.batch_size
        data = cfg.train_dataloader.dataset
        while 'dataset' in data:
            data = data.dataset
        assert data.type == types[metadata['Training Data']]
        assert 'Results' not in model


def test_mim_reads_them(models):
    """As `mim search` does."""
    search = pytest.importorskip('mim.commands.search')
    index = search.load(str(ROOT / 'model-index.yml'))
    frame = search.convert2df(index)
    assert set(frame.index) == {model['Name'] for model in models}
    assert set(frame['training_data']) >= {'ai-tod', 'visdrone2019-det'}


@pytest.fixture
def repository(tmp_path):
    """A small one: a family, parts of configs and an experiment."""
    shutil.copytree(
        ROOT / 'configs/retinanet',
        tmp_path / 'configs/retinanet',
        ignore=shutil.ignore_patterns('__pycache__'),
    )
    for name in ('_base_', 'ablation'):
        (tmp_path / 'configs' / name).mkdir()
        (tmp_path / 'configs' / name / 'part.py').touch()
    write_metafiles(tmp_path)
    return tmp_path


def test_a_new_config_is_added_and_a_gone_one_dropped(repository):
    folder = repository / 'configs/retinanet'
    metafile = folder / 'metafile.yml'
    before = metafile.read_text()
    assert write_metafiles(repository) == []
    (folder / 'retinanet_r50_4xb3-7e_visdrone.py').touch()
    next(folder.glob('*_aitod.py')).unlink()
    assert write_metafiles(repository) == [metafile]
    content = read(metafile)
    model = next(m for m in content['Models'] if m['Metadata']['Epochs'] == 7)
    assert model['Metadata'] == {
        'Training Data': 'VisDrone2019-DET',
        'Epochs': 7,
        'Batch Size': 12,
    }
    assert len(content['Models']) == len(yaml.safe_load(before)['Models'])
    # What is written by hand stays, with its comments.
    by_hand = before.partition('Models:')[0]
    assert metafile.read_text().startswith(by_hand)
    assert '#' in by_hand


def test_a_name_that_tells_nothing_and_a_family_without_a_metafile(repository):
    bad = repository / 'configs/retinanet/retinanet_r50_8xb2-12e_coco.py'
    bad.touch()
    with pytest.raises(InputError, match=r'retinanet_r50_8xb2-12e_coco\.py: the name'):
        write_metafiles(repository)
    bad.unlink()
    family = repository / 'configs/new'
    family.mkdir()
    (family / 'new_8xb2-12e_aitod.py').touch()
    with pytest.raises(InputError, match=r'new/metafile\.yml does not exist'):
        write_metafiles(repository)
