import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from sarl.engine.checkpoint import check_checkpoint, check_start, latest_checkpoint
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


def test_a_whole_file_of_other_arrays_is_not_called_broken(tmp_path):
    path = save(tmp_path, meta=np.array(['a'], dtype=object))
    with pytest.raises(InputError, match=r'is refused.*Can only build'):
        check_checkpoint(path)


def test_code_is_not_run(tmp_path):
    victim = tmp_path / 'made_by_unpickling'
    path = save(tmp_path, meta=Malicious(str(victim)))
    with pytest.raises(
        InputError, match=r'refused.*mkdir whose module .* is blocked\)'
    ):
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
    ('damaged', 'error'),
    [
        (b'X\1\0\0\0\xff', 'UnicodeDecodeError'),
        (b'h\5', 'KeyError'),
        (b't', 'IndexError'),
        (b'\x8a\1', 'EOFError'),
        (b'\xc5', 'UnpicklingError: Unsupported operand 197'),
        (b'}K\1a', 'UnpicklingError: Can only append to lists'),
    ],
)
def test_damaged_bytes_are_not_taken_for_objects(tmp_path, damaged, error):
    path = tmp_path / 'checkpoint.pth'
    path.write_bytes(b'\x80\2' + damaged + b'.')
    line = rf'^checkpoint \S+ is broken \({error}.*\)\. Was it cut short .*written\?$'
    with pytest.raises(InputError, match=line) as raised:
        check_checkpoint(str(path))
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('offset', [-2000, 0])
def test_damaged_tensors(tmp_path, offset):
    """Within one, which torch takes as it is, and between two."""
    path = tmp_path / 'checkpoint.pth'
    torch.save({name: torch.ones(1000) for name in 'abc'}, path)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo('checkpoint/data/1').header_offset + offset
    content = bytearray(path.read_bytes())
    content[start : start + 1000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'is broken .*data/\d is damaged'):
        check_checkpoint(str(path))


def test_a_damaged_name(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save(dict(backbone=torch.ones(2)), path)
    content = path.read_bytes()
    assert content.count(b'backbone') == 1
    path.write_bytes(content.replace(b'backbone', b'bockbone'))
    with pytest.raises(InputError, match=r'is broken .*data\.pkl is damaged'):
        check_checkpoint(str(path))


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'set_crc32_options'),
    reason='this torch writes checksums always',
)
def test_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path)
    finally:
        torch.serialization.set_crc32_options(True)
    check_checkpoint(path)


def test_no_weights_and_no_file(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save([torch.ones(2)], path)
    with pytest.raises(InputError, match=r'no checkpoint: it holds a list'):
        check_checkpoint(str(path))
    with pytest.raises(InputError, match=r'^cannot read checkpoint .*Is a directory'):
        check_checkpoint(str(tmp_path))


TRAINING = dict(state_dict={}, message_hub={}, meta=dict(epoch=1, iter=2))


@pytest.mark.parametrize(
    ('content', 'lacking'),
    [
        (dict(weight=1), 'state_dict, message_hub, epoch, iter'),
        (TRAINING | dict(meta={}), 'epoch, iter'),
        (TRAINING | dict(meta=None), 'epoch, iter'),
        (dict(state_dict={}, meta=dict(epoch=1, iter=2)), 'message_hub'),
    ],
)
def test_nothing_to_resume(content, lacking):
    line = rf'^checkpoint a\.pth .* lacks {lacking}\. .*--cfg-options load_from=a\.pth$'
    with pytest.raises(InputError, match=line):
        check_start(Config(), 'a.pth', content, resume=True)
    check_start(Config(), 'a.pth', content)
    check_start(Config(), 'a.pth', TRAINING, resume=True)


@pytest.mark.parametrize(
    'hooks',
    [
        dict(custom_hooks=[dict(type='SALHook'), dict(type='mmengine.EMAHook')]),
        dict(default_hooks=dict(logger=None, ema=dict(type='EMAHook'))),
    ],
)
def test_weights_alone_and_ema(hooks):
    check_start(Config(dict(default_hooks=None)), 'a.pth', dict(weight=1))
    check_start(Config(hooks), 'a.pth', dict(state_dict={}))
    with pytest.raises(InputError, match=r'a\.pth holds weights alone.*dict\(state_d'):
        check_start(Config(hooks), 'a.pth', dict(weight=1))


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
