"""Make the environment of this checkout: `python tools/bootstrap.py`.

Needs CPython 3.10 to 3.12 and, where no mmcv wheel fits, a C++ compiler. It may be
interrupted and run again at any time: it continues where it stopped, and returns
at once when nothing is left to do. `--stack onedl` takes the maintained forks in
place of OpenMMLab's releases, into an environment of their own.

Only the standard library, and no syntax newer than Python 3.6, so that an
unsupported Python gets as far as saying so.
"""

import argparse
import collections
import contextlib
import glob
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tools'))

import build_mmcv  # noqa: E402

BUILDER = os.path.join(ROOT, 'tools', 'build_mmcv.py')

# Part of the stamp: raise it when the steps below give a different environment.
RECIPE = '1'
SUPPORTED = ((3, 10), (3, 11), (3, 12))
DEFAULT_TORCH = 'torch==2.13.0'
BUILD_TOOLS = ['setuptools<81', 'wheel', 'ninja', 'packaging', 'psutil', 'numpy']
# Some ask for opencv-python, which cannot be imported where libGL is missing, and
# openmim for a package that wants the setuptools of 2022. So the frameworks and
# openmim go in without their dependencies, which are these.
WITHOUT_DEPENDENCIES = ('openmim',)
THEIR_DEPENDENCIES = [
    'addict',
    'click',
    'colorama',
    'matplotlib',
    'model-index',
    'numpy',
    'opencv-python-headless',
    'packaging',
    'pandas',
    'Pillow',
    'pycocotools',
    'pyyaml',
    'requests',
    'rich',
    'scipy',
    'shapely',
    'six',
    'tabulate',
    'termcolor',
    'terminaltables',
    'tqdm',
    'yapf',
]

Stack = collections.namedtuple('Stack', 'mmcv requirements venv dependencies')
STACKS = {
    'official': Stack('mmcv==2.0.1', 'mminstall.txt', '.venv', THEIR_DEPENDENCIES),
    'onedl': Stack(
        'onedl-mmcv==2.3.6',
        'onedl.txt',
        '.venv-onedl',
        THEIR_DEPENDENCIES + ['imageio', 'scikit-image'],
    ),
}
# In GB, measured with the CPU build of torch.
VENV_SPACE = 2.5
TEMPORARY_SPACE = 0.5

STAMP = '.sarl-ready'
LOCK = '.sarl-lock'
LOG = 'bootstrap.log'

NETWORK_FAILURE = re.compile(
    'Failed to establish a new connection|NewConnectionError|ConnectTimeoutError'
    '|ReadTimeoutError|Read timed out|ProxyError|Temporary failure in name resolution'
    '|Name or service not known|Max retries exceeded|Connection refused'
    '|Connection reset|Connection aborted|Network is unreachable|SSLError'
    '|CERTIFICATE_VERIFY_FAILED'
)
DISK_FAILURE = re.compile('No space left on device|Disk quota exceeded')
MEMORY_FAILURE = re.compile(
    'Killed signal terminated program|Cannot allocate memory|out of memory allocating'
)
MISSING_PACKAGE = re.compile('No matching distribution found for (.+)')
PROGRESS = re.compile(
    r'\[(?P<count>\d+/\d+)\] |\s*(?P<pip>Collecting \S+|Downloading \S+ \([^)]*\)'
    r'|Installing collected packages|building \S+ extension)'
)


class SetupError(Exception):
    """A cause and its mend, in one line."""


# What the machine must have


def this_python():
    bits = 8 * struct.calcsize('P')
    return sys.version_info[:2], platform.python_implementation(), bits, os.name


def check_python(version, implementation, bits, system):
    if system != 'posix':
        raise SetupError('this system is not supported; use Linux, macOS or WSL')
    if version not in SUPPORTED or implementation != 'CPython' or bits != 64:
        found = '{}.{}'.format(*version)
        supported = ', '.join('{}.{}'.format(*pair) for pair in SUPPORTED)
        raise SetupError(
            f'Python {found} ({implementation}, {bits} bit) is not supported; use'
            f' 64-bit CPython {supported}, for instance make PYTHON=python3.11 ...'
        )


def check_disk(venv, temporary=None, disk_usage=shutil.disk_usage):
    """Check the space for the environment and for what pip unpacks beside it."""
    temporary = temporary or tempfile.gettempdir()
    needs = collections.OrderedDict()
    for folder, need, mend in (
        (
            venv,
            max(VENV_SPACE - size_of(venv), 0.2),
            'free some or choose another place with --venv',
        ),
        (temporary, TEMPORARY_SPACE, 'free some or set TMPDIR to another place'),
    ):
        folder = nearest_existing(folder)
        device = os.stat(folder).st_dev
        needs.setdefault(device, [folder, 0.0, mend])[1] += need
    for folder, need, mend in needs.values():
        free = disk_usage(folder).free / 1e9
        if free < need:
            raise SetupError(
                f'not enough disk space at {folder}: {free:.1f} GB are free,'
                f' {need:.1f} GB are needed; {mend}'
            )


def size_of(folder):
    """Return the GB that an earlier run has already put into the folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total / 1e9


def nearest_existing(folder):
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_venv_module():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise SetupError(
            'this Python has no module {}; install it (Debian, Ubuntu: apt install'
            ' python{}.{}-venv)'.format(error.name, *sys.version_info[:2])
        ) from None


def check_build_tools():
    """Check what building mmcv needs beyond Python packages."""
    try:
        build_mmcv.check_python_headers()
        build_mmcv.find_compiler()
    except build_mmcv.BuildError as error:
        raise SetupError(f'mmcv has to be built here and {error}') from None


# What went wrong


def diagnose(output, title):
    """Return a cause and its mend, in one line, for a failed command's output."""
    if DISK_FAILURE.search(output):
        return (
            'the disk is full; free some space (a torch with CUDA takes 10 GB more'
            ' than one without) or choose another place with --venv and TMPDIR'
        )
    missing = MISSING_PACKAGE.search(output)
    if NETWORK_FAILURE.search(output):
        return (
            'pip cannot reach its package index; check the connection and the proxy'
            ' (https_proxy), or name an index or a folder of wheels with'
            ' PIP_INDEX_URL or PIP_FIND_LINKS'
        )
    if missing:
        return (
            f'pip finds no {missing.group(1).strip()} for this Python and system;'
            ' check TORCH, PIP_INDEX_URL and PIP_FIND_LINKS'
        )
    if MEMORY_FAILURE.search(output):
        return 'the compiler ran out of memory; run again with MAX_JOBS=1 set'
    errors = re.findall(r'(?i)^(?:error|fatal error): *(.+)$', output, re.MULTILINE)
    cause = errors[-1] if errors else 'see the end of the log'
    return f'{title} failed: {cause}'


# What the user sees


class Report:
    """Prints steps with the time since the start, and what is going on meanwhile."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.start = time.time()
        self.is_terminal = self.stream.isatty()
        self.interval = 0.5 if self.is_terminal else 15
        self.last_progress = self.start
        self.progress_shown = False

    def step(self, text):
        self._clear()
        self._write(f'[{time.time() - self.start:4.0f} s] {text}\n')
        self.last_progress = time.time()

    def progress(self, text):
        now = time.time()
        if now - self.last_progress < self.interval:
            return
        self.last_progress = now
        line = f'[{now - self.start:4.0f} s] ... {text}'
        if self.is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write('\r' + line[:width].ljust(width))
            self.progress_shown = True
        else:
            self._write(line + '\n')

    def _clear(self):
        if self.progress_shown:
            width = shutil.get_terminal_size().columns - 1
            self._write('\r' + ' ' * width + '\r')
            self.progress_shown = False

    def _write(self, text):
        self.stream.write(text)
        self.stream.flush()


class Job:
    """Commands that run one after another while others run beside them."""

    def __init__(self, title, commands, log, options):
        self.title = title
        self.commands = commands
        self.log = log
        self.options = options
        self.lines = collections.deque(maxlen=3000)
        self.detail = ''
        self.returncode = None
        self.start = time.time()
        self.seconds = 0.0
        self.process = None
        self.stopped = False
        self.thread = threading.Thread(target=self._run)
        self.thread.daemon = True
        self.thread.start()

    def _run(self):
        try:
            returncode = next(filter(None, map(self._run_one, self.commands)), 0)
        except OSError as error:
            # A full disk shows here first, when the log is written.
            self.lines.append(str(error))
            self._signal(signal.SIGKILL)
            returncode = 1
        self.seconds = time.time() - self.start
        self.returncode = returncode

    def _run_one(self, command):
        if self.stopped:
            return 1
        self.log.write('\n$ {}\n'.format(' '.join(command)))
        # Its own session: Ctrl-C reaches this program alone, which then ends the
        # whole group, compilers included.
        self.process = subprocess.Popen(command, start_new_session=True, **self.options)
        with self.process.stdout:
            for line in self.process.stdout:
                self.log.write(line)
                self.lines.append(line)
                found = PROGRESS.match(line)
                if found:
                    count, pip = found.group('count', 'pip')
                    self.detail = pip or f'{count} files'
        return self.process.wait()

    def output(self):
        return ''.join(self.lines)

    def status(self):
        return f'{self.title}: {self.detail}' if self.detail else self.title

    def stop(self):
        """End the command; with SIGINT pip and ninja remove what is half done."""
        self.stopped = True
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self._signal(signal_number)
            self.thread.join(5)
            if not self.thread.is_alive():
                return

    def _signal(self, signal_number):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal_number)


def process_options(environ, lock=None):
    return {
        'env': environ,
        # A command keeps the lock when this program is killed.
        'pass_fds': () if lock is None else (lock,),
        'stdin': subprocess.DEVNULL,
        'stdout': subprocess.PIPE,
        'stderr': subprocess.STDOUT,
        'universal_newlines': True,
        'errors': 'replace',
    }


def run_jobs(jobs, report):
    """Wait for all jobs; end the others and raise when one fails."""
    try:
        waiting = list(jobs)
        while waiting:
            for job in list(waiting):
                if job.returncode is None:
                    continue
                waiting.remove(job)
                if job.returncode:
                    raise SetupError(diagnose(job.output(), job.title))
                report.step(f'{job.title}: done in {job.seconds:.0f} s')
            if waiting:
                report.progress('; '.join(job.status() for job in waiting))
                waiting[0].thread.join(0.1)
    finally:
        for job in jobs:
            if job.returncode is None:
                job.stop()


# The environment


class Environment:
    def __init__(self, folder, torch, stack, report):
        self.folder = os.path.abspath(folder)
        self.torch = torch
        self.stack = stack
        self.report = report
        self.python = self.path('bin', 'python')
        self.log = None
        self.options = None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def isolated(self, *arguments):
        """Return a command of the venv's Python that ignores the current folder."""
        return [self.python, '-I', '-u', *arguments]

    def pip(self, *arguments):
        return self.isolated('-m', 'pip', *arguments)

    def job(self, title, *commands):
        return Job(title, commands, self.log, self.options)

    def run(self, title, *commands):
        run_jobs([self.job(title, *commands)], self.report)

    def ask(self, command):
        """Run a short command; return its exit status and its output."""
        self.log.write('\n$ {}\n'.format(' '.join(command)))
        done = subprocess.run(command, **self.options)
        self.log.write(done.stdout)
        return done.returncode, done.stdout


def clean_environ(environ):
    """Return `environ` without what would lead pip or Python out of the venv."""
    unwanted = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_USER')
    environ = {key: environ[key] for key in environ if key not in unwanted}
    environ.update(
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_NO_INPUT='1',
        PIP_PROGRESS_BAR='off',
    )
    return environ


@contextlib.contextmanager
def locked(folder, report):
    """Hold the folder's lock: two runs in one environment would spoil it."""
    import fcntl

    with open(os.path.join(folder, LOCK), 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            report.step(f'another set-up is at work in {folder}; waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def claim_folder(folder):
    """Create the folder, or make sure that it is an environment."""
    if os.path.isdir(folder) and os.listdir(folder):
        known = (LOCK, 'pyvenv.cfg')
        if not any(os.path.exists(os.path.join(folder, name)) for name in known):
            raise SetupError(
                f'{folder} exists and is not a Python environment; move it away or'
                ' choose another place with --venv'
            )
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise SetupError(f'{folder} cannot be created: {error.strerror}') from None


# The stamp


def digest(folder, torch, stack):
    """Return a digest of everything that decides what the environment holds."""
    parts = [RECIPE, torch, ROOT, os.path.abspath(folder), STACKS[stack].mmcv]
    parts.append('{}.{}'.format(*sys.version_info[:2]))
    files = sorted(glob.glob(os.path.join(ROOT, 'requirements', '*.txt')))
    files += [os.path.join(ROOT, name) for name in ('setup.py', 'pyproject.toml')]
    result = hashlib.sha256()
    for part in parts:
        result.update(part.encode() + b'\0')
    for path in files:
        with open(path, 'rb') as file:
            result.update(file.read() + b'\0')
    return result.hexdigest()


def is_ready(folder, torch, stack):
    if not os.path.exists(os.path.join(folder, 'bin', 'python')):
        return False
    try:
        with open(os.path.join(folder, STAMP)) as file:
            found, kind = file.read().split()
    except (OSError, ValueError):
        return False
    if found != digest(folder, torch, stack):
        return False
    # nvcc was asked for: is it there now?
    return kind != build_mmcv.LACKS_NVCC or not build_mmcv.has_nvcc()


def write_stamp(folder, torch, stack, kind):
    path = os.path.join(folder, STAMP)
    with open(path + '.partial', 'w') as file:
        file.write(f'{digest(folder, torch, stack)} {kind}\n')
    os.replace(path + '.partial', path)


# The steps


def create_venv(env):
    """Create the venv, or repair what an interrupted or different Python left."""
    version = '{}.{}'.format(*sys.version_info[:2])
    if os.path.exists(env.python):
        probe = 'import sys, pip._internal.cli.main; print(sys.version[:4])'
        status, output = env.ask(env.isolated('-c', probe))
        whole = status == 0 and output.split()[-1:] == [version]
        if whole and not was_moved(env):
            return
        broken = f'is not whole or not of Python {version}'
        reason = 'was moved or copied' if whole else broken
        env.report.step(f'{env.folder} {reason}: made anew')
    # The wheels and the half-built mmcv stay.
    for name in ('bin', 'lib', 'lib64', 'include', 'pyvenv.cfg'):
        path = env.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
    env.run('virtual environment', [sys.executable, '-m', 'venv', env.folder])


def was_moved(env):
    """Tell whether `activate` leads to another folder, as in a copied checkout."""
    text = read_text(env.path('bin', 'activate')) or ''
    # Quoted, or not, by the version of Python.
    found = re.findall(r'^ *(?:export )?VIRTUAL_ENV=([^$\s].*)$', text, re.MULTILINE)
    folders = [''.join(shlex.split(value)[:1]) for value in found]
    here = os.path.realpath(env.folder)
    return here not in [os.path.realpath(folder) for folder in folders]


def check_stack(env):
    """Check that the other stack is not in the folder: its files have these names."""
    for name, stack in STACKS.items():
        pattern = package_name(stack.mmcv).replace('-', '_') + '-*.dist-info'
        folder = glob.escape(env.path('lib'))
        if name != env.stack and glob.glob(
            os.path.join(folder, 'python*', 'site-packages', pattern)
        ):
            raise SetupError(
                f'{env.folder} holds the {name} stack; choose another folder for the'
                f' {env.stack} one with --venv (with make: VENV=DIR)'
            )


def read_lines(name):
    with open(os.path.join(ROOT, 'requirements', name)) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith('#')]


def package_name(line):
    return re.match(r'[\w.-]+', line).group()


def read_requirements(stack):
    """Return the requirements to install without and with their dependencies.

    mmcv is in neither.
    """
    mmcv = package_name(STACKS[stack].mmcv)
    frameworks = read_lines(STACKS[stack].requirements)
    bare = [line for line in frameworks if package_name(line) != mmcv]
    full = list(STACKS[stack].dependencies)
    for line in read_lines('runtime.txt') + read_lines('dev.txt'):
        (bare if package_name(line) in WITHOUT_DEPENDENCIES else full).append(line)
    return bare, full


def packages_job(env):
    bare, full = read_requirements(env.stack)
    return env.job(
        'packages',
        env.pip('install', '--no-deps', *bare),
        env.pip('install', *full),
    )


def find_wheel(env):
    """Return the wheel of mmcv that an index or PIP_FIND_LINKS has, or None."""
    folder = env.path('wheels', 'found')
    shutil.rmtree(folder, ignore_errors=True)
    command = env.pip('download', '--no-deps', '--only-binary=:all:')
    command += [STACKS[env.stack].mmcv, '--dest', folder]
    status, output = env.ask(command)
    if status == 0:
        return only_wheel(folder)
    if NETWORK_FAILURE.search(output) or 'No matching distribution' not in output:
        raise SetupError(diagnose(output, 'the search for a wheel of mmcv'))
    return None


def only_wheel(folder):
    wheels = glob.glob(os.path.join(glob.escape(folder), '*mmcv-*.whl'))
    return wheels[0] if wheels else None


def describe_torch(env):
    """Return the installed torch's version and the kind of ops to build."""
    status, output = env.ask(env.isolated(BUILDER, '--describe'))
    found = re.search(r'^described: (\S+) (\S+)$', output, re.MULTILINE)
    if status or not found:
        raise SetupError(diagnose(output, f'import of {env.torch}'))
    return found.groups()


def installed_ops(env):
    """Return the kind of ops that the installed mmcv has, None if it does not work."""
    code = 'import mmcv.ops as o; print("ops:", o.get_compiling_cuda_version())'
    status, output = env.ask(env.isolated('-c', code))
    found = re.search('^ops: (.+)$', output, re.MULTILINE)
    if status or not found:
        return None
    return 'cpu' if found.group(1) == 'not available' else 'cuda'


def mmcv_fits(env, kind):
    ops = installed_ops(env)
    return ops == 'cuda' or (ops == 'cpu' and kind != 'cuda')


def install_wheel(env, wheel):
    command = env.pip('install', '--no-deps', '--no-index', '--force-reinstall', wheel)
    env.run('mmcv', command)


def read_text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def install_packages(env):
    """Install torch, mmcv and all else; return the kind of mmcv's ops."""
    record = env.path('wheels', 'installed')
    # Before the long steps, to say early that a compiler or the net is missing.
    found = find_wheel(env)
    if not found and not glob.glob(env.path('wheels', 'torch-*')):
        check_build_tools()
    # With OpenCV there, a mmcv that is built does not ask for the other OpenCV.
    first = [env.torch, *BUILD_TOOLS, 'opencv-python-headless']
    env.run(env.torch, env.pip('install', *first))
    version, kind = describe_torch(env)
    key = 'torch-{}-{}-py{}{}'.format(version, kind, *sys.version_info[:2])
    recorded = read_text(record) == key
    if recorded or found:
        run_jobs([packages_job(env)], env.report)
        if recorded and mmcv_fits(env, kind):
            return kind
    if found:
        install_wheel(env, found)
        if mmcv_fits(env, kind):
            write_text(record, key)
            return kind
        env.report.step('the mmcv wheel that pip found does not fit this torch')
    build_and_install_mmcv(env, key, kind)
    write_text(record, key)
    return kind


def write_text(path, text):
    with open(path, 'w') as file:
        file.write(text)


def build_and_install_mmcv(env, key, kind):
    wheels = env.path('wheels', key)
    jobs = [packages_job(env)]
    if not only_wheel(wheels):
        check_build_tools()
        build = env.path('build', key)
        command = env.isolated(BUILDER, '--wheel-dir', wheels, '--build-dir', build)
        command += ['--release', STACKS[env.stack].mmcv]
        env.report.step(f'mmcv has no wheel for torch {key.split("-")[1]}: building it')
        jobs.append(env.job(f'mmcv build ({kind} ops)', command))
    run_jobs(jobs, env.report)
    install_wheel(env, only_wheel(wheels))
    if not mmcv_fits(env, kind):
        shutil.rmtree(wheels)
        raise SetupError(
            'the mmcv that was built does not work with this torch; the end of the'
            ' log says why, and a second run builds it anew'
        )


def set_up(env):
    check_venv_module()
    check_stack(env)
    create_venv(env)
    kind = install_packages(env)
    env.run(
        'sarl itself',
        env.pip('install', '--no-deps', '--no-build-isolation', '--editable', ROOT),
    )
    shutil.rmtree(env.path('build'), ignore_errors=True)
    write_stamp(env.folder, env.torch, env.stack, kind)
    if kind == build_mmcv.LACKS_NVCC:
        env.report.step(
            'this machine has a GPU but no nvcc: training on the GPU needs the CUDA'
            ' toolkit and, with it installed, a second run'
        )
    env.report.step(f'ready: {env.python}')


def parse_arguments():
    parser = argparse.ArgumentParser(description='Make the environment of sarl.')
    parser.add_argument(
        '--stack',
        choices=sorted(STACKS),
        default='official',
        help="OpenMMLab's releases or the maintained forks",
    )
    parser.add_argument(
        '--venv', help='folder to make, .venv or .venv-onedl of the checkout'
    )
    parser.add_argument('--torch', default=DEFAULT_TORCH, help='requirement for pip')
    arguments = parser.parse_args()
    if arguments.venv is None:
        arguments.venv = os.path.join(ROOT, STACKS[arguments.stack].venv)
    return arguments


def interrupt(signal_number, frame):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    report = Report()
    log = None
    for signal_number in (signal.SIGTERM, getattr(signal, 'SIGHUP', signal.SIGTERM)):
        signal.signal(signal_number, interrupt)
    try:
        check_python(*this_python())
        if is_ready(arguments.venv, arguments.torch, arguments.stack):
            return 0
        env = Environment(arguments.venv, arguments.torch, arguments.stack, report)
        check_disk(env.folder)
        claim_folder(env.folder)
        with locked(env.folder, report) as lock:
            if is_ready(env.folder, env.torch, env.stack):
                return 0
            env.options = process_options(clean_environ(os.environ), lock)
            log = env.path(LOG)
            with open(log, 'a', buffering=1, errors='replace') as env.log:
                set_up(env)
        return 0
    except SetupError as error:
        report.step(f'set-up failed: {error}' + (f' (log: {log})' if log else ''))
        return 1
    except KeyboardInterrupt:
        report.step('interrupted; the same command continues where this one stopped')
        return 130
    except OSError as error:
        cause = str(error)
        if DISK_FAILURE.search(cause):
            cause = diagnose(cause, 'writing')
        report.step(f'set-up failed: {cause}')
        return 1


if __name__ == '__main__':
    sys.exit(main())
