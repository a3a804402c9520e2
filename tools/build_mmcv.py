"""Build a wheel of mmcv, with its ops, for the torch of this interpreter.

    python tools/build_mmcv.py --wheel-dir DIR [--build-dir DIR]
                               [--release onedl-mmcv==2.3.6]

No index has a wheel of mmcv for every torch, and the sources need help with a
recent one: they ask for C++14 where torch wants C++17, and every one of the 77
files reads all of torch's headers anew, which takes most of the time. With GCC
those headers are compiled once instead (a precompiled header).

An interrupted build continues where it stopped when it gets the same --build-dir.
"""

import argparse
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

DEFAULT_RELEASE = 'mmcv==2.0.1'
HEADER = os.path.join('mmcv', 'ops', 'csrc', 'common', 'pytorch_cpp_helper.hpp')
# What one compiler process takes at most, with torch's headers.
MEMORY_PER_JOB = 2.3e9
LACKS_NVCC = 'cpu-for-lack-of-nvcc'
COMPILERS = ('c++', 'g++', 'clang++')
CPP17_PROGRAM = '#include <optional>\nint main() { return *std::optional<int>(0); }\n'


class BuildError(Exception):
    """A cause and its mend, in one line."""


# The environment of the build


def find_compiler(environ=os.environ):
    """Return the command of a C++17 compiler as a list, or raise BuildError."""
    candidates = [environ['CXX']] if environ.get('CXX') else COMPILERS
    for candidate in candidates:
        command = shlex.split(candidate)
        path = shutil.which(command[0], path=environ.get('PATH', ''))
        if path and compiles_cpp17([path] + command[1:]):
            return [path] + command[1:]
    if environ.get('CXX'):
        cause = 'CXX={} is not a C++ compiler that compiles C++17'.format(
            environ['CXX']
        )
    else:
        cause = 'no C++ compiler that compiles C++17 was found ({})'.format(
            ', '.join(COMPILERS)
        )
    raise BuildError(
        cause + '; install one (Debian, Ubuntu: apt install g++; Fedora: dnf install'
        ' gcc-c++; macOS: xcode-select --install) or set CXX'
    )


def compiles_cpp17(command):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, 'check.cpp')
        with open(source, 'w') as file:
            file.write(CPP17_PROGRAM)
        program = os.path.join(folder, 'check')
        try:
            done = subprocess.run(
                command + ['-std=c++17', source, '-o', program],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return False
        return done.returncode == 0


def check_python_headers():
    folder = sysconfig.get_paths()['include']
    if not os.path.exists(os.path.join(folder, 'Python.h')):
        raise BuildError(
            'Python.h is not in {}; install the headers of this Python (Debian,'
            ' Ubuntu: apt install python{}.{}-dev)'.format(folder, *sys.version_info)
        )


def is_clang(command):
    done = subprocess.run(command + ['--version'], stdout=subprocess.PIPE)
    return b'clang' in done.stdout.lower()


def has_nvcc():
    """Return whether the CUDA toolkit's compiler is where torch looks for it."""
    folders = [os.environ.get(name) for name in ('CUDA_HOME', 'CUDA_PATH')]
    folders.append('/usr/local/cuda')
    paths = [os.path.join(folder, 'bin', 'nvcc') for folder in folders if folder]
    return bool(shutil.which('nvcc')) or any(os.path.exists(path) for path in paths)


def ops_kind():
    """Return which ops this machine gets: cuda, cpu or, until nvcc is there, cpu."""
    import torch

    if os.environ.get('FORCE_CUDA') == '1':
        return 'cuda'
    if not torch.cuda.is_available():
        return 'cpu'
    return 'cuda' if has_nvcc() else LACKS_NVCC


def job_count():
    """Return how many compilers fit the processors and the memory."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:
        processors = os.cpu_count() or 1
    return max(1, min(processors, int(available_memory() / MEMORY_PER_JOB)))


def available_memory():
    sizes = []
    try:
        with open('/proc/meminfo') as file:
            kilobytes = re.search(r'MemAvailable:\s+(\d+)', file.read()).group(1)
        sizes.append(int(kilobytes) * 1024)
    except (OSError, AttributeError):
        pass
    try:
        with open('/sys/fs/cgroup/memory.max') as file:
            sizes.append(int(file.read()))
    except (OSError, ValueError):
        pass
    return min(sizes, default=float('inf'))


# The sources


def file_stem(release):
    """Return how the names of a release's files begin: `onedl_mmcv-2.3.6`."""
    return release.replace('-', '_').replace('==', '-')


def fetch_sources(release, build_dir):
    """Download and unpack the sources unless an earlier run did; return the folder."""
    folder = os.path.join(build_dir, file_stem(release))
    if os.path.isdir(folder):
        return folder
    # Build isolation would fetch a setuptools that has no pkg_resources any more.
    command = [sys.executable, '-I', '-m', 'pip', 'download', '--no-deps']
    command += ['--no-build-isolation', '--no-binary=:all:', release]
    done = subprocess.run(command + ['--dest', build_dir])
    if done.returncode:
        raise BuildError('pip could not download the sources of ' + release)
    (archive,) = glob.glob(os.path.join(build_dir, '*.tar.gz'))
    # A half unpacked folder must never pass for the whole.
    partial = folder + '.partial'
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as file:
        file.extractall(partial)
    sources = os.path.join(partial, file_stem(release))
    raise_cpp_standard(os.path.join(sources, 'setup.py'), cpp_standard())
    os.rename(sources, folder)
    os.rmdir(partial)
    return folder


def cpp_standard():
    """Return the oldest C++ standard that torch's headers accept, 17 at least."""
    import torch

    header = os.path.join(os.path.dirname(torch.__file__), 'include/ATen/ATen.h')
    with open(header) as file:
        found = re.search(r'C\+\+(\d\d) or later', file.read())
    return 'c++' + max('17', found.group(1) if found else '17')


def raise_cpp_standard(setup_file, standard):
    """Replace the standard in mmcv's setup.py, for the C++ compiler and for nvcc."""
    with open(setup_file) as file:
        text = file.read()
    with open(setup_file, 'w') as file:
        file.write(re.sub(r'-std=c\+\+\d\d', '-std=' + standard, text))


# The compiler wrapper: build_wheel sets CXX to a script that comes back to this
# file with --compile-with HEADER COMPILER... -- and the real command line.


def write_wrapper(folder, compiler, header):
    """Write the script that stands in for the compiler; return its path.

    It needs a name without `g++` or `c++`, which nvcc would take for its own.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, 'mmcv-cxx')
    command = [sys.executable, '-I', '-S', os.path.abspath(__file__)]
    command += ['--compile-with', header] + compiler
    with open(path, 'w') as file:
        file.write(f'#!/bin/sh\nexec {quote_all(command)} -- "$@"\n')
    os.chmod(path, 0o755)
    return path


def quote_all(command):
    return ' '.join(shlex.quote(word) for word in command)


def run_compiler(arguments):
    """Compile as asked, without debugging symbols and with the header precompiled."""
    split = arguments.index('--')
    header, compiler, command = arguments[0], arguments[1:split], arguments[split + 1 :]
    if '-c' in command:
        # Python's own -g doubles the size and adds a third to the time.
        command = command + ['-g0', '-w']
        if header and includes(command, header):
            precompile_once(header, compiler, command)
            # GCC takes a precompiled header only where nothing precedes it.
            command = command + ['-include', header]
    os.execv(compiler[0], compiler + command)


def includes(command, header):
    sources = [word for word in command if word.endswith('.cpp')]
    for source in sources:
        with open(source, encoding='utf-8') as file:
            if f'"{os.path.basename(header)}"' in file.read():
                return True
    return False


def precompile_once(header, compiler, command):
    """Precompile `header` with the flags of `command`, which GCC requires.

    The first compile that comes along does it; those beside it don't wait, they
    read the headers the slow way.
    """
    target = header + '.gch'
    try:
        os.mkdir(header + '.lock')
    except FileExistsError:
        return
    if os.path.exists(target):
        return
    partial = target + '.partial'
    flags = header_flags(command)
    command = compiler + flags + ['-x', 'c++-header', header, '-o', partial]
    if subprocess.run(command).returncode == 0:
        os.rename(partial, target)


def header_flags(command):
    """Return `command` without its source, its output and its dependency file."""
    flags = []
    words = iter(command)
    for word in words:
        if word in ('-o', '-MF'):
            next(words)
        elif word not in ('-c', '-MMD', '-MD') and not word.endswith('.cpp'):
            flags.append(word)
    return flags


def forget_interrupted_header(header):
    """Let the next build precompile again what a killed one left half done."""
    if os.path.isdir(header + '.lock'):
        os.rmdir(header + '.lock')
    if os.path.exists(header + '.gch.partial'):
        os.remove(header + '.gch.partial')


# The build


def build_environment(build_dir, compiler, header, kind):
    scripts = os.path.join(build_dir, 'bin')
    wrapper = write_wrapper(scripts, compiler, '' if is_clang(compiler) else header)
    environ = dict(os.environ)
    # By name: torch does not quote it, and the path may have spaces.
    environ['CXX'] = os.path.basename(wrapper)
    search = [scripts, os.path.dirname(sys.executable), environ.get('PATH', '')]
    environ['PATH'] = os.pathsep.join(search)
    environ['MMCV_WITH_OPS'] = '1'
    environ.setdefault('MAX_JOBS', str(job_count()))
    if kind != 'cuda':
        environ['CUDA_VISIBLE_DEVICES'] = ''
    return environ


def build_wheel(release, wheel_dir, build_dir):
    check_python_headers()
    compiler = find_compiler()
    os.makedirs(build_dir, exist_ok=True)
    sources = fetch_sources(release, build_dir)
    header = os.path.join(sources, HEADER)
    forget_interrupted_header(header)
    environ = build_environment(build_dir, compiler, header, ops_kind())
    dist = os.path.join(build_dir, 'dist')
    command = [sys.executable, 'setup.py', 'bdist_wheel', '--dist-dir', dist]
    if subprocess.run(command, cwd=sources, env=environ).returncode:
        raise BuildError(release + ' could not be built')
    os.makedirs(wheel_dir, exist_ok=True)
    (wheel,) = glob.glob(os.path.join(dist, file_stem(release) + '-*.whl'))
    target = os.path.join(wheel_dir, os.path.basename(wheel))
    shutil.copyfile(wheel, target + '.partial')
    os.rename(target + '.partial', target)
    return target


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument('--wheel-dir', help='folder that gets the wheel')
    action.add_argument(
        '--describe', action='store_true', help='print the torch version and the ops'
    )
    parser.add_argument('--build-dir', help='folder for the sources and objects')
    parser.add_argument(
        '--release',
        default=DEFAULT_RELEASE,
        help=f'what to build, {DEFAULT_RELEASE} by default',
    )
    return parser.parse_args()


def main():
    if sys.argv[1:2] == ['--compile-with']:
        run_compiler(sys.argv[2:])
    arguments = parse_arguments()
    wheel_dir = os.path.abspath(arguments.wheel_dir or '')
    try:
        if arguments.describe:
            import torch

            print('described:', torch.__version__, ops_kind())
        elif arguments.build_dir:
            build_dir = os.path.abspath(arguments.build_dir)
            print(build_wheel(arguments.release, wheel_dir, build_dir))
        else:
            with tempfile.TemporaryDirectory() as build_dir:
                print(build_wheel(arguments.release, wheel_dir, build_dir))
    except BuildError as error:
        sys.exit(f'error: {error}')
    except ModuleNotFoundError as error:
        sys.exit(f'error: {error.name} is not installed here')


if __name__ == '__main__':
    main()
