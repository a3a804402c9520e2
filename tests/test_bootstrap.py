"""The set-up's checks and messages, without installing anything."""

import importlib.util
import io
import os
import shlex
import shutil
import subprocess
import sys
import venv
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / 'tools'
Usage = namedtuple('Usage', 'total used free')


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    # bootstrap puts its own folder on the path, to find build_mmcv.
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


bootstrap = load('bootstrap')
build_mmcv = bootstrap.build_mmcv
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, build_mmcv.COMPILERS)), reason='no C++ compiler here'
)
needs_gcc = pytest.mark.skipif(
    not shutil.which('g++') or build_mmcv.is_clang(['g++']), reason='no GCC here'
)


def run_bootstrap(*arguments, **environ):
    return subprocess.run(
        [sys.executable, str(TOOLS / 'bootstrap.py'), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=60,
    )


def assert_one_line(text):
    assert text.count('\n') == 1
    assert 'Traceback' not in text


# Python


@pytest.mark.parametrize('version', [(3, 6), (3, 9), (3, 13)])
def test_unsupported_version_names_the_supported(version):
    with pytest.raises(
        bootstrap.SetupError, match=r'not supported.*3\.10, 3\.11, 3\.12'
    ):
        bootstrap.check_python(version, 'CPython', 64, 'posix')


@pytest.mark.parametrize(
    ('implementation', 'bits', 'system'),
    [('PyPy', 64, 'posix'), ('CPython', 32, 'posix'), ('CPython', 64, 'nt')],
)
def test_unsupported_platform(implementation, bits, system):
    with pytest.raises(bootstrap.SetupError, match='not supported'):
        bootstrap.check_python((3, 11), implementation, bits, system)


def test_this_python_is_described_as_checked():
    bootstrap.check_python(*bootstrap.this_python())


@pytest.mark.parametrize('name', ['bootstrap.py', 'build_mmcv.py'])
def test_syntax_of_python_3_6(name):
    import ast

    ast.parse((TOOLS / name).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize('name', ['venv', 'ensurepip'])
def test_python_without_venv_names_the_package(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(bootstrap.SetupError, match=r'apt install python3\.\d+-venv'):
        bootstrap.check_venv_module()


# Disk


def test_full_disk_is_reported_with_the_need(tmp_path):
    def disk_usage(folder):
        return Usage(0, 0, 0.5e9)

    with pytest.raises(bootstrap.SetupError, match=r'0\.5 GB are free, 3\.0 GB'):
        bootstrap.check_disk(
            str(tmp_path / 'venv'), str(tmp_path), disk_usage=disk_usage
        )


def test_enough_disk_passes(tmp_path):
    def disk_usage(folder):
        return Usage(0, 0, 50e9)

    bootstrap.check_disk(str(tmp_path / 'venv'), disk_usage=disk_usage)


def test_what_is_installed_already_needs_no_space(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, 'size_of', lambda folder: 2.4)

    def disk_usage(folder):
        return Usage(0, 0, 1.5e9)

    bootstrap.check_disk(str(tmp_path), str(tmp_path), disk_usage=disk_usage)


# Folder


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    done = run_bootstrap('--venv', str(tmp_path))
    assert done.returncode == 1
    assert 'is not a Python environment' in done.stdout
    assert_one_line(done.stdout)
    assert os.listdir(tmp_path) == ['thesis.tex']


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('')
    done = run_bootstrap('--venv', str(tmp_path / 'file' / 'venv'))
    assert done.returncode == 1
    assert 'cannot be created' in done.stdout
    assert_one_line(done.stdout)


# Compiler


@pytest.mark.parametrize(
    ('environ', 'cause'),
    [
        ({'PATH': ''}, 'no C\\+\\+ compiler'),
        ({'CXX': '/nonexistent/g++', 'PATH': os.environ['PATH']}, 'CXX=/nonexistent'),
        ({'CXX': sys.executable, 'PATH': os.environ['PATH']}, 'is not a C\\+\\+'),
    ],
)
def test_no_compiler(environ, cause):
    with pytest.raises(build_mmcv.BuildError, match=cause) as caught:
        build_mmcv.find_compiler(environ)
    assert 'install one' in str(caught.value)


def test_no_compiler_is_reported_by_the_set_up(monkeypatch):
    monkeypatch.setenv('CXX', '/nonexistent/g++')
    monkeypatch.setattr(build_mmcv, 'check_python_headers', lambda: None)
    with pytest.raises(bootstrap.SetupError, match='mmcv has to be built here'):
        bootstrap.check_build_tools()


@needs_compiler
def test_compiler_is_found():
    (compiler, *_) = build_mmcv.find_compiler()
    assert os.path.isabs(compiler)


def test_no_python_headers(monkeypatch):
    paths = {'include': '/nonexistent'}
    monkeypatch.setattr(build_mmcv.sysconfig, 'get_paths', lambda: paths)
    with pytest.raises(build_mmcv.BuildError, match=r'Python\.h.*apt install'):
        build_mmcv.check_python_headers()


# Causes of failures


def test_unreachable_index_is_recognised(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'download', '--retries=1', '--no-deps']
        + ['--index-url=http://127.0.0.1:9/simple', '--dest=unused', 'no-such-package'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: os.environ[key] for key in os.environ if 'PIP_' not in key},
    )
    message = bootstrap.diagnose(done.stdout + done.stderr, 'torch')
    assert 'cannot reach' in message
    assert 'PIP_INDEX_URL' in message
    assert '\n' not in message


@pytest.mark.parametrize(
    ('output', 'expected'),
    [
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        (
            'ERROR: No matching distribution found for torch==9.9\n',
            'finds no torch==9.9 for',
        ),
        (
            'g++: fatal error: Killed signal terminated program cc1plus\n',
            'MAX_JOBS=1',
        ),
        ('some noise\nerror: odd thing\nmore noise\n', 'mmcv failed: odd thing'),
        ('some noise\n', 'end of the log'),
    ],
)
def test_causes(output, expected):
    assert expected in bootstrap.diagnose(output, 'mmcv')


# Jobs


def run_python(title, code):
    command = [sys.executable, '-c', code]
    options = bootstrap.process_options(dict(os.environ))
    return bootstrap.Job(title, [command], io.StringIO(), options)


def test_failed_job_ends_the_others():
    slow = run_python('slow', 'import time; time.sleep(60)')
    failing = run_python('failing', 'raise SystemExit("error: out of luck")')
    report = bootstrap.Report(io.StringIO())
    with pytest.raises(bootstrap.SetupError, match='failing failed: out of luck'):
        bootstrap.run_jobs([slow, failing], report)
    assert not slow.thread.is_alive()


def test_progress_of_ninja_and_pip():
    job = run_python('mmcv', 'print("[3/77] c++ -c a.cpp")')
    job.thread.join()
    assert job.status() == 'mmcv: 3/77 files'
    job = run_python('packages', 'print("  Downloading a-1.whl (3 MB)")')
    job.thread.join()
    assert job.status() == 'packages: Downloading a-1.whl (3 MB)'


def test_second_run_waits_while_a_command_of_a_killed_one_lives(tmp_path):
    report = bootstrap.Report(io.StringIO())
    with bootstrap.locked(str(tmp_path), report) as lock:
        options = bootstrap.process_options(dict(os.environ), lock)
        code = 'import time; time.sleep(1)'
        orphan = subprocess.Popen([sys.executable, '-c', code], **options)
    with bootstrap.locked(str(tmp_path), report):
        assert orphan.wait(1) == 0
    assert 'waiting for it' in report.stream.getvalue()


# Stamp


@pytest.fixture
def ready(tmp_path):
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'python').touch()
    bootstrap.write_stamp(str(tmp_path), 'torch==2.13.0', 'official', 'cpu')
    return tmp_path


def test_ready_environment_is_left_at_once(ready):
    done = run_bootstrap('--venv', str(ready), '--torch', 'torch==2.13.0', PATH='')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_other_torch_or_stack_is_not_ready(ready):
    assert bootstrap.is_ready(str(ready), 'torch==2.13.0', 'official')
    assert not bootstrap.is_ready(str(ready), 'torch==2.12.0', 'official')
    assert not bootstrap.is_ready(str(ready), 'torch==2.13.0', 'onedl')


def test_damaged_stamp_is_not_ready(ready):
    (ready / bootstrap.STAMP).write_text('')
    assert not bootstrap.is_ready(str(ready), 'torch==2.13.0', 'official')


def test_the_environment_of_a_copied_checkout_is_made_anew(tmp_path):
    """Its `activate` and scripts lead to the environment that it was copied from."""
    old, new = tmp_path / "it's old", tmp_path / "it's new"
    venv.create(old, with_pip=True)
    shutil.copytree(old, new, symlinks=True)
    steps = []
    for folder in (old, new):
        report = SimpleNamespace(step=steps.append, progress=lambda text: None)
        env = bootstrap.Environment(str(folder), 'torch', 'official', report)
        with open(tmp_path / 'log', 'w') as env.log:
            env.options = bootstrap.process_options(dict(os.environ))
            bootstrap.create_venv(env)
    assert steps[0] == f'{new} was moved or copied: made anew'
    prefix = 'import sys; print(sys.prefix)'
    command = f'source {shlex.quote(str(new / "bin/activate"))}; python -c "{prefix}"'
    done = subprocess.run(['bash', '-c', command], capture_output=True, text=True)
    assert done.stdout.strip() == str(new)


def test_lost_python_is_not_ready(ready):
    (ready / 'bin' / 'python').unlink()
    assert not bootstrap.is_ready(str(ready), 'torch==2.13.0', 'official')


def test_changed_requirements_are_not_ready(ready, tmp_path, monkeypatch):
    copy = tmp_path / 'checkout'
    (copy / 'requirements').mkdir(parents=True)
    for name in ('setup.py', 'pyproject.toml', 'requirements/runtime.txt'):
        (copy / name).write_text('as before')
    monkeypatch.setattr(bootstrap, 'ROOT', str(copy))
    before = bootstrap.digest(str(ready), 'torch', 'official')
    assert bootstrap.digest(str(ready), 'torch', 'official') == before
    (copy / 'requirements' / 'runtime.txt').write_text('changed')
    assert bootstrap.digest(str(ready), 'torch', 'official') != before


def test_nvcc_that_came_later_asks_for_another_run(ready, monkeypatch):
    bootstrap.write_stamp(str(ready), 'torch', 'onedl', build_mmcv.LACKS_NVCC)
    monkeypatch.setattr(build_mmcv, 'has_nvcc', lambda: False)
    assert bootstrap.is_ready(str(ready), 'torch', 'onedl')
    monkeypatch.setattr(build_mmcv, 'has_nvcc', lambda: True)
    assert not bootstrap.is_ready(str(ready), 'torch', 'onedl')


# Requirements


@pytest.mark.parametrize(
    ('stack', 'expected'),
    [
        ('official', ['mmdet==3.3.0', 'mmengine==0.10.7', 'openmim']),
        (
            'onedl',
            [
                'onedl-mmdetection==3.5.1',
                'onedl-mmengine==0.10.12',
                'imaug',
                'openmim',
            ],
        ),
    ],
)
def test_what_would_bring_the_other_opencv_goes_in_bare(stack, expected):
    bare, full = bootstrap.read_requirements(stack)
    assert bare == expected
    assert {'opencv-python-headless', 'mmyolo==0.6.0'} <= set(full)
    assert not {'opencv-python', 'opendatalab'} & set(full)


def test_the_installed_package_asks_for_neither_stack():
    requirements = bootstrap.read_lines('runtime.txt')
    names = {bootstrap.package_name(line) for line in requirements}
    stacks = bootstrap.read_lines('mminstall.txt') + bootstrap.read_lines('onedl.txt')
    assert not names & {bootstrap.package_name(line) for line in stacks}


# Stacks


@pytest.mark.parametrize(
    ('held', 'wanted'), [('official', 'onedl'), ('onedl', 'official')]
)
def test_other_stack_in_the_folder_is_not_overwritten(tmp_path, held, wanted):
    names = dict(official='mmcv-2.0.1', onedl='onedl_mmcv-2.3.6')
    site = tmp_path / 'lib/python3.11/site-packages'
    (site / f'{names[held]}.dist-info').mkdir(parents=True)
    (tmp_path / 'pyvenv.cfg').touch()
    done = run_bootstrap('--venv', str(tmp_path), '--stack', wanted)
    assert done.returncode == 1
    assert f'holds the {held} stack' in done.stdout
    assert_one_line(done.stdout)
    folders = bootstrap.Environment(str(tmp_path), 'torch', held, None)
    bootstrap.check_stack(folders)


@pytest.mark.skipif(not shutil.which('make'), reason='no make here')
@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ([], 'official .venv'),
        (['STACK=onedl'], 'onedl .venv-onedl'),
        (['STACK=onedl', 'VENV=/else where'], 'onedl /else where'),
    ],
)
def test_make_gives_each_stack_its_folder(tmp_path, arguments, expected):
    echo = tmp_path / 'python'
    echo.write_text('#!/bin/sh\necho "$3 $5"\n')
    echo.chmod(0o755)
    environ = {key: os.environ[key] for key in os.environ if 'MAKE' not in key}
    done = subprocess.run(
        ['make', '--silent', 'setup', f'PYTHON={echo}', *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environ,
    )
    assert (done.stdout, done.stderr) == (expected + '\n', '')


# mmcv


def test_both_compilers_get_the_newer_standard(tmp_path):
    setup_file = tmp_path / 'setup.py'
    setup_file.write_text("cxx = ['-std=c++14']\nnvcc += ['-std=c++17']\n")
    build_mmcv.raise_cpp_standard(str(setup_file), 'c++20')
    assert setup_file.read_text() == "cxx = ['-std=c++20']\nnvcc += ['-std=c++20']\n"


@pytest.mark.parametrize(
    ('release', 'stem'),
    [('mmcv==2.0.1', 'mmcv-2.0.1'), ('onedl-mmcv==2.3.6', 'onedl_mmcv-2.3.6')],
)
def test_names_of_a_release(tmp_path, release, stem):
    assert build_mmcv.file_stem(release) == stem
    (tmp_path / f'{stem}-cp311-cp311-linux_x86_64.whl').touch()
    assert Path(bootstrap.only_wheel(str(tmp_path))).name.startswith(stem)


def test_header_gets_the_flags_of_the_compile():
    command = '-MMD -MF a.o.d -O3 -fPIC -Iinc -c -c a.cpp -o a.o -std=c++17 -DA=b -g0'
    flags = build_mmcv.header_flags(command.split())
    assert flags == ['-O3', '-fPIC', '-Iinc', '-std=c++17', '-DA=b', '-g0']


@needs_gcc
def test_wrapper_compiles_with_the_precompiled_header(tmp_path):
    header = tmp_path / 'with space' / 'common.hpp'
    header.parent.mkdir()
    header.write_text(
        '#pragma once\n#include <optional>\ninline int one() { return 1; }\n'
    )
    source = tmp_path / 'a.cpp'
    source.write_text(
        '#include <vector>\n#include "common.hpp"\n'
        'int two() { return *std::optional<int>(one() + 1); }\n'
    )
    wrapper = build_mmcv.write_wrapper(
        str(tmp_path / 'bin'), [shutil.which('g++')], str(header)
    )
    # -H lists the headers read; a used precompiled one is marked with an `!`.
    command = [wrapper, '-MMD', '-MF', 'a.d', '-g', '-O1', '-H', f'-I{header.parent}']
    command += ['-c', '-c', str(source), '-o', 'a.o', '-std=c++17']
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f'! {header}.gch' in done.stderr
        assert (tmp_path / 'a.o').exists()
    assert b'.debug_info' not in (tmp_path / 'a.o').read_bytes()


@needs_gcc
def test_wrapper_passes_failures_and_other_commands_on(tmp_path):
    compiler = shutil.which('g++')
    wrapper = build_mmcv.write_wrapper(str(tmp_path), [compiler], '')
    version = subprocess.run([wrapper, '--version'], capture_output=True, text=True)
    assert (
        version.stdout
        == subprocess.run(
            [compiler, '--version'], capture_output=True, text=True
        ).stdout
    )
    bad = tmp_path / 'bad.cpp'
    bad.write_text('not C++')
    command = [wrapper, '-c', str(bad), '-o', str(tmp_path / 'bad.o')]
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_interrupted_header_is_forgotten(tmp_path):
    header = str(tmp_path / 'common.hpp')
    os.mkdir(header + '.lock')
    Path(header + '.gch.partial').touch()
    build_mmcv.forget_interrupted_header(header)
    build_mmcv.forget_interrupted_header(header)
    assert os.listdir(tmp_path) == []
