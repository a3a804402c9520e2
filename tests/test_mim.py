"""`mim train sarl CONFIG` and its like, in an environment that has sarl's wheel.

The environment is a new one that also sees the packages of this one: nothing is
downloaded, and sarl is what the wheel holds.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'yolov5_n-v61_sarl-sal_1xb16-25e_scenes.py'
# What `mim` runs: the script itself is in the environment that has openmim.
MIM = 'import sys; from mim.cli import cli; sys.argv[0] = "mim"; sys.exit(cli())'
IN_SOURCES = ('setup.py', 'pyproject.toml', 'model-index.yml')
SHORT = [
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'train_cfg.max_epochs=1',
    'default_hooks.param_scheduler.max_epochs=1',
]

GONE = 'yolov5/of_an_earlier_release.py'

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec('mim'),
    reason='openmim is not installed: run `make setup`',
)


def on_forks():
    try:
        return bool(version('onedl-mmcv'))
    except PackageNotFoundError:
        return False


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, from a copy: the build writes beside the sources."""
    sources = tmp_path_factory.mktemp('sources')
    for name in IN_SOURCES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, sources)
    for name in ('requirements', 'configs', 'tools', 'projects'):
        ignore = shutil.ignore_patterns('__pycache__', '*.egg-info')
        shutil.copytree(ROOT / name, sources / name, ignore=ignore)
    # What an earlier build left, of a file that is no more.
    gone = sources / 'build/lib/sarl/.mim/configs' / GONE
    gone.parent.mkdir(parents=True)
    gone.touch()
    run_pip(sys.executable, 'wheel', '--wheel-dir', sources / 'dist', sources)
    (path,) = (sources / 'dist').glob('sarl-*.whl')
    return path


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """The packages' folder of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp('user') / 'env'
    venv.create(folder, symlinks=True)
    paths = dict(base=str(folder), platbase=str(folder))
    site = Path(sysconfig.get_path('purelib', 'venv', paths))
    # As a path only: the .pth of an editable install in there has no effect here.
    others = {sysconfig.get_path(name) for name in ('purelib', 'platlib')}
    (site / 'others.pth').write_text('\n'.join(others))
    run_pip(folder / 'bin/python', 'install', '--ignore-installed', wheel)
    return site


def run_pip(python, action, *arguments):
    options = ['--no-deps', '--no-index', '--quiet']
    if action == 'wheel':
        options.append('--no-build-isolation')
    subprocess.run(
        [str(python), '-m', 'pip', action, *options, *map(str, arguments)], check=True
    )


class Mim:
    """Runs mim as its user does, in a folder that has the embedded scenes."""

    def __init__(self, python, folder):
        self.python = str(python)
        self.folder = folder
        environ = {key: os.environ[key] for key in os.environ if key != 'PYTHONPATH'}
        self.options = dict(
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self, *arguments):
        command = [self.python, '-W', 'ignore', '-c', MIM, *map(str, arguments)]
        return subprocess.Popen(command, **self.options)

    def __call__(self, *arguments):
        return self.output(self.start(*arguments))

    @staticmethod
    def output(process):
        output, _ = process.communicate()
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope='module')
def mim(site, tmp_path_factory):
    mim = Mim(site.parents[2] / 'bin/python', tmp_path_factory.mktemp('work'))
    mim('run', 'sarl', 'make_scenes', 'data/scenes', '--train=4', '--val=2')
    return mim


@pytest.fixture(scope='module')
def trained(mim):
    return mim(
        *('train', 'sarl', CONFIG, '--work-dir', 'run', '--gpus', '0'),
        *('--cfg-options', *SHORT),
    )


def test_train_by_basename_runs_the_wheel(trained, mim, site):
    assert 'Training finished successfully' in trained
    found = site / 'sarl/.mim/configs/yolov5' / CONFIG
    assert f'will use {found} instead' in trained
    assert (mim.folder / 'run/epoch_1.pth').is_file()
    # The folder of the sources appears nowhere, so the wheel is what ran.
    assert str(ROOT) not in trained.replace(sysconfig.get_path('purelib'), '')


def test_test_by_basename(trained, mim):
    tested = mim(
        *('test', 'sarl', CONFIG, '--checkpoint', 'run/epoch_1.pth'),
        *('--work-dir', 'run', '--gpus', '0', '--cfg-options', *SHORT),
    )
    values = re.findall(r'aitod/AP: (\S+)', trained + tested)
    assert len(values) == 2
    assert values[0] == values[1]


def test_two_processes(mim):
    output = mim(
        *('train', 'sarl', CONFIG, '--work-dir', 'two', '--launcher', 'pytorch'),
        *('--gpus', '2', '--cfg-options', *SHORT, 'train_dataloader.batch_size=1'),
    )
    assert 'Training finished successfully' in output
    # With two images an iteration, the four take two.
    assert 'Epoch(train) [1][2/2]' in output
    assert (mim.folder / 'two/epoch_1.pth').is_file()


def test_other_packages_train_a_child_of_an_installed_config(mim, site):
    base = site / 'sarl/.mim/configs/yolov5' / CONFIG
    config = mim.folder / 'my config.py'
    config.write_text(f'_base_ = {str(base)!r}\n')
    # MMYOLO's own script refuses the forks' mmcv.
    packages = ('onedl-mmdetection', 'sarl') if on_forks() else ('mmdet', 'mmyolo')
    runs = {
        package: mim.start(
            *('train', package, config, '--work-dir', package, '--gpus', '0'),
            *('--cfg-options', *SHORT),
        )
        for package in packages
    }
    for package, run in runs.items():
        output = mim.output(run)
        assert f'.mim/tools/train.py {config}' in output
        assert (mim.folder / package / 'epoch_1.pth').is_file()
        assert 'aitod/AP: ' in output


def test_search(mim):
    name = 'yolov5_s-v61_sarl-sal_8xb16-100e_aitod'
    output = mim('search', 'sarl', '--config', name)
    assert f'config id: {name}' in output
    assert re.search(rf'config +configs/yolov5/{name}\.py', output)


def test_every_config_is_found_by_its_name_alone(site):
    package = site / 'sarl'
    names = [path.name for path in package.rglob('*.py')]
    for path in (package / '.mim/configs').rglob('*.py'):
        if '_base_' not in path.parts:
            assert names.count(path.name) == 1, path.name


def test_the_wheel_has_what_mim_looks_for(wheel, site):
    sources = wheel.parents[1]
    wanted = [sources / 'model-index.yml']
    for folder in ('configs', 'tools'):
        wanted += (sources / folder).rglob('*')
    for path in filter(Path.is_file, wanted):
        if path.name in ('bootstrap.py', 'build_mmcv.py'):
            continue
        copy = site / 'sarl/.mim' / path.relative_to(sources)
        assert copy.read_bytes() == path.read_bytes()
        # Shell scripts are called as they are.
        assert os.access(copy, os.X_OK) == os.access(path, os.X_OK), path
    assert not (site / 'sarl/.mim/configs' / GONE).exists()
