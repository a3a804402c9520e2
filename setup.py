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
    """Files that `mim train sarl CONFIG` looks for in sarl/.mim."""
    return [
        path.relative_to(ROOT)
        for folder in ('configs', 'tools')
        for path in sorted((ROOT / folder).rglob('*'))
        if path.is_file()
        and path.suffix in ('.py', '.json', '.yml', '.sh')
        and path.name not in NOT_IN_WHEEL
    ]


class BuildPy(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return
        for path in mim_files():
            target = Path(self.build_lib, 'sarl', '.mim', path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)

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
    # Neither mmcv nor torch is listed, as in mmdet and mmyolo: no index has an
    # mmcv wheel for every torch, and pip would replace the torch that fits the
    # machine; `mim install -r requirements/mminstall.txt` or `make setup` do it.
    install_requires=read_requirements('runtime.txt'),
    extras_require={'dev': read_requirements('dev.txt')},
    cmdclass={'build_py': BuildPy},
    zip_safe=False,
)
