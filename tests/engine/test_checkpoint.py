import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from sarl.engine.checkpoint import check_checkpoint, latest_checkpoint
from sarl.errors import InputError


class Innocent:
    pass


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class ThroughGetattr:
    """Reach for what the stand-in of `getattr` must not hand out."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return getattr, (HistoryBuffer, self.name)


def save(tmp_path, **content):
    path = tmp_path / 'checkpoint.pth'
    torch.save(dict(state_dict=dict(weight=torch.ones(2)), **content), path)
    return str(path)


def test_history_and_numpy_values_load(tmp_path):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    path = save(
        tmp_path,
        message_hub=dict(log_scalars={'train/loss': history}),
        meta=dict(ap=np.float64(0.5), count=np.int64(3), array=np.arange(3.0)),
    )
    check_checkpoint(path)
    loaded = torch.load(path, weights_only=True)
    restored = loaded['message_hub']['log_scalars']['train/loss']
    assert restored.mean() == 1.5
    assert restored.statistics('max') == 2
    assert loaded['meta']['ap'] == 0.5
    assert loaded['meta']['array'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('core', ['core', '_core'])
def test_values_of_numpy_1_and_2_load(tmp_path, core):
    """Each writes the name of its own package, and the other one reads it."""
    path = save(tmp_path, history=HistoryBuffer([1.0], [1]), ap=np.float64(0.5))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    other = tmp_path / 'other.pth'
    with zipfile.ZipFile(other, 'w') as archive:
        for name, content in parts.items():
            for written in (b'core', b'_core'):
                content = content.replace(
                    b'numpy.%s.multiarray' % written,
                    b'numpy.%s.multiarray' % core.encode(),
                )
            archive.writestr(name, content)
    assert check_checkpoint(str(other))['ap'] == 0.5


def test_types_that_others_take_back_are_allowed_again(tmp_path):
    path = save(tmp_path, history=HistoryBuffer([1.0], [1]))
    # As the fork of MMEngine does when it loads.
    with torch.serialization.safe_globals([HistoryBuffer]):
        torch.load(path, weights_only=True)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    check_checkpoint(path)


def test_any_other_object_is_refused(tmp_path):
    path = save(tmp_path, meta=Innocent())
    with pytest.raises(InputError, match=r'checkpoint\.pth is refused.*Innocent'):
        check_checkpoint(path)


def test_code_is_not_run(tmp_path):
    victim = tmp_path / 'made_by_unpickling'
    path = save(tmp_path, meta=Malicious(str(victim)))
    with pytest.raises(InputError, match='refused'):
        check_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize('name', ['__init__', '__class__', 'update'])
def test_getattr_gives_statistics_only(tmp_path, name):
    path = tmp_path / 'checkpoint.pth'
    torch.save(dict(meta=ThroughGetattr(name)), path)
    with pytest.raises(InputError, match='refused'):
        check_checkpoint(str(path))


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(InputError, match=r'none\.pth does not exist'):
        check_checkpoint(str(tmp_path / 'none.pth'))
    path = Path(save(tmp_path))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match='broken'):
        check_checkpoint(str(path))
    path.write_bytes(pickle.dumps(dict(weight=1.0), protocol=2)[:-3])
    with pytest.raises(InputError, match='broken'):
        check_checkpoint(str(path))


@pytest.mark.parametrize(
    'content',
    [b'', b'<!DOCTYPE html>\n404', b'version https://git-lfs.github.com/spec/v1\n'],
)
def test_no_checkpoint(tmp_path, content):
    path = tmp_path / 'checkpoint.pth'
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r'^\S*checkpoint\.pth is no checkpoint.*again'
    ):
        check_checkpoint(str(path))


def test_the_latest_of_a_folder_that_was_copied(tmp_path):
    first, copy, elsewhere = (tmp_path / name for name in ('first', 'copy', 'else'))
    for folder in (first, copy, elsewhere):
        folder.mkdir()
    assert latest_checkpoint(first) is None
    noted = first / 'epoch_2.pth'
    for folder in (first, copy, elsewhere):
        (folder / 'last_checkpoint').write_text(str(noted))
    for folder in (first, copy):
        (folder / noted.name).touch()
        assert latest_checkpoint(folder) == str(folder / noted.name)
    # Where CheckpointHook's out_dir is another folder.
    assert latest_checkpoint(elsewhere) == str(noted)


@pytest.mark.parametrize('note', [None, ''])
def test_the_latest_without_a_note(tmp_path, note):
    """It is lost where only checkpoints are copied, or emptied by an interruption."""
    if note is not None:
        (tmp_path / 'last_checkpoint').write_text(note)
    assert latest_checkpoint(tmp_path) is None
    for name in ('epoch_9.pth', 'epoch_10.pth', 'best_aitod_AP_epoch_20.pth'):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_10.pth')
