"""The versions of mmcv that sarl lets MMYOLO run with."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import mmcv
import pytest

from sarl.compat import accepted_version


def run_python(code, **kwargs):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )


@pytest.mark.parametrize(
    ('installed', 'shown'),
    [
        ('2.0.1', '2.0.1'),
        # OpenMMLab's own later releases have not been tried with MMYOLO.
        ('2.1.0', '2.1.0'),
        ('2.2.0', '2.2.0'),
        ('2.3.6', '2.0.1'),
        ('2.4.0', '2.4.0'),
        ('3.0.0', '3.0.0'),
    ],
)
def test_only_a_version_that_was_tried_is_hidden(monkeypatch, installed, shown):
    monkeypatch.setattr(mmcv, '__version__', installed)
    with accepted_version():
        assert mmcv.__version__ == shown
    assert mmcv.__version__ == installed


def test_the_version_comes_back_after_an_error(monkeypatch):
    monkeypatch.setattr(mmcv, '__version__', '2.3.6')
    with pytest.raises(ImportError), accepted_version():
        raise ImportError
    assert mmcv.__version__ == '2.3.6'


def test_the_installed_version_is_told_as_it_is():
    names = ('mmcv', 'onedl-mmcv')
    installed = []
    for name in names:
        try:
            installed.append(version(name))
        except PackageNotFoundError:
            continue
    assert installed == [mmcv.__version__]


def test_a_child_of_mmyolos_config_is_read_before_sarl_is_imported(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'mmyolo::yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'\n"
        "custom_imports = dict(imports=['sarl'])\n"
    )
    done = run_python(
        'import sys\n'
        'from mmengine.config import Config\n'
        'from mmengine.registry import MODELS\n'
        "cfg = Config.fromfile('mine.py')\n"
        "assert 'sarl' in sys.modules\n"
        'print(type(MODELS.build(cfg.model)).__name__)\n',
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'YOLODetector'


def test_importing_sarl_prints_nothing():
    done = run_python('import sarl')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_versions_that_do_not_go_together_are_named():
    done = run_python("import mmcv; mmcv.__version__ = '2.9'; import sarl")
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith('ImportError: sarl needs')
    assert 'MMCV==2.9' in message
    assert 'make setup' in message
