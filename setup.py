import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = Path('projects', 'sarl')
# These two only set up a checkout.
NOT_IN_WHEEL = {'bootstrap.py', 'build_mmcv.py'}


def read_version():
    text = (ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '([^']+)'", text).group(1)


def read_requirements(name):
    lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
    return [line for line in map(str.strip, lines) if line and line[0] != '#']


def mim_files():
    """Files that `mim train sarl CONFIG` and its like look for in sarl/.mim."""
    paths = [ROOT / 'model-index.yml']
    for folder in ('configs', 'tools'):
        paths += sorted((ROOT / folder).rglob('*'))
    return [
        path.relative_to(ROOT)
        for path in paths
        if path.is_file()
        and path.suffix in ('.py', '.json', '.yml', '.sh')
        and path.name not in NOT_IN_WHEEL
    ]


class BuildPy(build_py):
    def run(self):
        if not self.editable_mode:
            # What an earlier build left there would go into the wheel.
            shutil.rmtree(Path(self.build_lib, 'sarl'), ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        for path in mim_files():
            target = Path(self.build_lib, 'sarl', '.mim', path)
            target.parent.mkdir(parents=True, exist_ok=True)
            # With the mode: dist_train.sh is called as it is.
            shutil.copy(ROOT / path, target)

    def get_source_files(self):
        # The source distribution takes its file list from here, and this
        # setup.py cannot run there without the requirements.
        requirements = sorted((ROOT / 'requirements').glob('*.txt'))
        extra = mim_files() + [path.relative_to(ROOT) for path in requirements]
        return super().get_source_files() + [path.as_posix() for path in extra]


setup(
    name='sarl',
    version=read_version(),
    description='Tiny objects in aerial images: an add-on to MMDetection and MMYOLO',
    packages=['sarl', *(f'sarl.{name}' for name in find_packages(str(PACKAGE)))],
    package_dir={'sarl': PACKAGE.as_posix()},
    python_requires='>=3.10',
    # No torch: pip would replace the one that fits the machine. No mmcv, mmengine or
    # mmdet, as in mmdet and mmyolo: the forks have the same import names under other
    # distribution names, and pip would install both over each other. An extra names
    # a stack; `mim install .` takes the one that is called mim.
    install_requires=read_requirements('runtime.txt'),
    extras_require={
        'mim': read_requirements('mminstall.txt'),
        'onedl': read_requirements('onedl.txt'),
        'dev': read_requirements('dev.txt'),
    },
    cmdclass={'build_py': BuildPy},
    zip_safe=False,
)
