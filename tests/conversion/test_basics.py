"""What the converters stand on: processes, lines of text, images of any kind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import islice

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from PIL import ExifTags, Image

from sarl.conversion.folders import walk
from sarl.conversion.text_files import read_lines
from sarl.conversion.workers import map_in_order
from sarl.errors import InputError
from sarl.files import write_whole
from sarl.images import (
    find_images,
    image_header,
    image_problem,
    image_size,
    read_image,
    training_problem,
)


def slow_square(number):
    time.sleep(0.01 * (number % 3))
    if number == 99:
        raise InputError('99 is bad')
    return number**2, os.getpid()


@pytest.mark.parametrize('workers', [1, 2, 64])
def test_results_come_in_order(workers):
    results = list(map_in_order(slow_square, range(20), workers, 'squares'))
    assert [square for square, _ in results] == [n**2 for n in range(20)]
    assert len({process for _, process in results}) <= workers
    assert (os.getpid() in {process for _, process in results}) is (workers == 1)
    assert list(map_in_order(slow_square, [], workers, 'nothing')) == []


def test_after_the_parent_used_its_threads():
    """Forked with OpenCV's threads running, a worker would wait for ever."""
    cv2.setNumThreads(4)
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    cv2.GaussianBlur(noise, (0, 0), 5)
    torch.ones(2000, 2000) @ torch.ones(2000, 2000)
    blurred = list(map_in_order(blur, [noise] * 4, 2, 'blur'))
    assert len(blurred) == 4
    assert cv2.getNumThreads() == 4


def blur(image):
    return cv2.GaussianBlur(image, (0, 0), 5)


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_stops_the_others(workers):
    done = map_in_order(slow_square, [1, 99, *range(2000)], workers, 'squares')
    assert next(done)[0] == 1
    start = time.monotonic()
    with pytest.raises(InputError, match='99 is bad'):
        list(done)
    # All of them would take ten seconds.
    assert time.monotonic() - start < 5


def end_as_if_memory_ran_out(number):
    if number == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_no_workers():
    with pytest.raises(InputError, match='--workers is at least 1, not 0'):
        list(map_in_order(slow_square, [1], 0, 'squares'))


def test_a_worker_that_is_killed_is_said():
    numbers = [1, 99, *range(200)]
    with pytest.raises(InputError, match='tiles: a process was killed.*--workers, now'):
        list(map_in_order(end_as_if_memory_ran_out, numbers, 2, 'tiles'))
    assert multiprocessing.active_children() == []


def test_a_pool_that_is_given_up_leaves_nothing(monkeypatch):
    """An error in one of its threads would be printed, and its processes stay."""
    problems = []
    monkeypatch.setattr(threading, 'excepthook', problems.append)
    before = threading.active_count()
    for _ in range(4):
        with pytest.raises(InputError, match='99 is bad'):
            list(map_in_order(slow_square, [1, 99, *range(2000)], 2, 'squares'))
        some = map_in_order(slow_square, range(90), 2, 'squares', chunk=7)
        next(some)
        some.close()
    assert problems == []
    assert threading.active_count() == before
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_parent(tmp_path, how):
    script = tmp_path / 'script.py'
    script.write_text(f"""
import os, pathlib, signal, time
from sarl.conversion.workers import map_in_order

# Shells start what they run in the background deaf to it, and the tests with that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def work(item):
    pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.worker').touch()
    time.sleep(0.1)

if __name__ == '__main__':
    list(map_in_order(work, range(10_000), 2, 'work'))
""")
    run = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    workers = []
    while len(workers) < 2 and run.poll() is None:
        workers = [int(path.stem) for path in tmp_path.glob('*.worker')]
        time.sleep(0.05)
    run.send_signal(how)
    run.wait(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(is_running, workers))


def is_running(process):
    try:
        os.kill(process, 0)
        # A dead child of nobody may wait to be collected.
        with open(f'/proc/{process}/stat') as file:
            return file.read().split()[2] != 'Z'
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_lines_of_any_origin(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'\xef\xbb\xbf1,2\r\n\r\n  3,4,\n5\r6')
    assert list(read_lines(path)) == [(1, '1,2'), (3, '3,4,'), (4, '5'), (5, '6')]
    path.write_bytes(b'')
    assert list(read_lines(path)) == []


def test_bad_text(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'fine\nb\xe4d\n')
    with pytest.raises(InputError, match=r'a\.txt, line 2: not UTF-8'):
        list(read_lines(path))
    with pytest.raises(InputError, match=r'b\.txt cannot be read'):
        list(read_lines(tmp_path / 'b.txt'))


def test_images_are_found_by_any_suffix(tmp_path):
    for name in ('b.JPG', 'a.png', '._a.png', 'c.txt', 'd.TIF'):
        (tmp_path / name).touch()
    assert [p.name for p in find_images(tmp_path)] == ['a.png', 'b.JPG', 'd.TIF']
    (tmp_path / 'a.tif').touch()
    with pytest.raises(InputError, match=r'a\.png and .*a\.tif|a\.tif and .*a\.png'):
        find_images(tmp_path)
    with pytest.raises(InputError, match='nowhere does not exist'):
        find_images(tmp_path / 'nowhere')


def test_linked_folders_are_walked_once(tmp_path):
    (tmp_path / 'a/b').mkdir(parents=True)
    (tmp_path / 'a/b/up').symlink_to(tmp_path)
    (tmp_path / 'c').symlink_to('a')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'a/link').symlink_to('../elsewhere')
    # Without an end, the walk would take for ever.
    first = islice(walk(tmp_path), 9)
    walked = [os.path.relpath(folder, tmp_path) for folder, _, _ in first]
    assert walked == ['.', 'a', 'a/b', 'a/link']


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_images_of_any_depth_become_8_bit_bgr(tmp_path, suffix):
    rng = np.random.default_rng(0)
    path = tmp_path / f'image.{suffix}'
    colour = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    alpha = np.full((30, 40, 1), 7, np.uint8)
    for pixels, expected in (
        (colour, colour),
        (np.concatenate([colour, alpha], 2), colour),
        (colour[:, :, 0], np.repeat(colour[:, :, :1], 3, 2)),
    ):
        cv2.imwrite(str(path), pixels)
        assert image_size(path) == (40, 30)
        np.testing.assert_array_equal(read_image(path), expected)
    deep = rng.integers(0, 4000, (30, 40, 3), dtype=np.uint16)
    cv2.imwrite(str(path), deep)
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.max() == 255
    np.testing.assert_allclose(read, deep * (255 / deep.max()), atol=0.51)


@pytest.mark.parametrize('orientation', [None, 1, 3, 6, 8])
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
def test_headers_tell_the_size_that_training_loads(tmp_path, suffix, orientation):
    path, exif = tmp_path / f'image.{suffix}', Image.Exif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    Image.new('RGB', (40, 30)).save(path, exif=exif)
    height, width, _ = LoadImageFromFile()(dict(img_path=str(path)))['img'].shape
    assert image_header(path) == ((width, height), orientation or 1, 8)


def test_broken_exif_data_turn_nothing(tmp_path):
    path = tmp_path / 'image.jpg'
    Image.new('RGB', (40, 30)).save(path, exif=b'Exif\0\0MM\0*\0\0')
    assert mmcv.imread(path).shape == (30, 40, 3)
    assert image_header(path) == ((40, 30), 1, 8)


@pytest.mark.parametrize('orientation', [0, 9])
def test_orientations_that_are_none_turn_nothing(tmp_path, orientation):
    path = tmp_path / 'image.jpg'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (40, 30)).save(path, exif=exif)
    assert mmcv.imread(path).shape == (30, 40, 3)
    assert image_header(path) == ((40, 30), 1, 8)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('channels', [(), (3,)])
def test_headers_tell_the_depth(tmp_path, suffix, channels):
    path = tmp_path / f'image.{suffix}'
    for dtype in (np.uint8, np.uint16):
        cv2.imwrite(str(path), np.ones((30, 40, *channels), dtype))
        assert image_header(path) == ((40, 30), 1, 8 * dtype().itemsize)
        assert training_problem(path) is None


def test_what_pillow_decodes_and_training_does_not(tmp_path):
    path = tmp_path / 'image.tif'
    Image.new('F', (40, 30)).save(path)
    assert image_problem(path) is None
    with pytest.raises(AssertionError, match='failed to load'):
        LoadImageFromFile()(dict(img_path=str(path)))
    assert 'OpenCV' in training_problem(path)
    # The suffix tells nothing.
    assert 'OpenCV' in training_problem(path.rename(path.with_suffix('.jpg')))


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tif', 'bmp'])
def test_broken_images(tmp_path, suffix):
    path = tmp_path / f'image.{suffix}'
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    assert image_problem(path) is None
    path.write_bytes(path.read_bytes()[:-2000])
    assert 'truncated or broken' in image_problem(path)
    with pytest.raises(InputError, match=rf'image\.{suffix}: .*Download or export'):
        read_image(path)
    path.write_bytes(b'no image')
    with pytest.raises(InputError, match=rf'image\.{suffix} is not a readable image'):
        image_size(path)
    with pytest.raises(InputError, match=r'other\.png does not exist'):
        read_image(tmp_path / 'other.png')


def test_a_width_that_no_decoder_takes(tmp_path):
    path = tmp_path / 'image.bmp'
    Image.new('RGB', (40, 30)).save(path)
    content = bytearray(path.read_bytes())
    content[18:22] = b'\xff' * 4
    path.write_bytes(content)
    assert 'truncated or broken' in image_problem(path)


@pytest.mark.parametrize('function', [image_size, image_header])
def test_errors_of_any_type_are_one(tmp_path, monkeypatch, function):
    def fail(_):
        raise OverflowError('too large')

    monkeypatch.setattr(Image, 'open', fail)
    with pytest.raises(InputError, match=r'a\.bmp is not a readable image: too large'):
        function(tmp_path / 'a.bmp')


def test_a_failed_write_leaves_nothing(tmp_path):
    folder = tmp_path / 'a folder'
    folder.mkdir()
    with pytest.raises(InputError, match='a folder cannot be written: Is a directory'):
        write_whole(folder, b'content')
    assert list(tmp_path.iterdir()) == [folder]
