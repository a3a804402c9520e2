"""PNG files: every kind of pixel and filter, damage anywhere, rows that tiles share."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from sarl.conversion import png
from sarl.conversion.png import (
    compress_rows,
    encode_png,
    join_strips,
    read_png,
)
from sarl.conversion.tiling import open_scene
from sarl.errors import InputError


@pytest.fixture(params=[64, 1 << 17])
def bands(request, monkeypatch):
    """Decode in bands of the fewest rows, and all at once."""
    monkeypatch.setattr(png, 'PIECE', request.param)


@pytest.fixture(scope='module')
def pixels():
    noise = np.random.default_rng(0).integers(0, 256, (70, 45, 4), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1)


def chunk(kind, data):
    return (
        struct.pack('>I', len(data))
        + kind
        + data
        + struct.pack('>I', zlib.crc32(kind + data))
    )


def write(path, pixels, filters, split=8192, data=None):
    """Write a PNG by the specification, with a filter for each row by turns."""
    height, width = pixels.shape[:2]
    step = pixels.shape[2] if pixels.ndim == 3 else 1
    above, rows = np.zeros(step * width, int), b''
    for y, row in enumerate(pixels.reshape(height, -1).astype(int)):
        left = np.r_[np.zeros(step, int), row[:-step]]
        corner = np.r_[np.zeros(step, int), above[:-step]]
        near = np.abs([above - corner, left - corner, left + above - 2 * corner])
        paeth = np.choose(near.argmin(axis=0), [left, above, corner])
        kind = filters[y % len(filters)]
        guess = [0, left, above, (left + above) // 2, paeth][kind % 5]
        rows += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    data = data or zlib.compress(rows)
    header = struct.pack('>2I5B', width, height, 8, {1: 0, 3: 2, 4: 6}[step], 0, 0, 0)
    path.write_bytes(
        png.SIGNATURE
        + chunk(b'IHDR', header)
        + chunk(b'tEXt', b'Comment\0none')
        + b''.join(
            chunk(b'IDAT', data[start : start + split])
            for start in range(0, len(data), split)
        )
        + chunk(b'IEND', b'')
    )
    return rows


@pytest.mark.parametrize('filters', [[0], [1], [2], [3], [4], [4, 0, 3, 1, 1, 2]])
@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.usefixtures('bands')
def test_every_filter_and_kind_of_pixel(tmp_path, pixels, filters, channels):
    path = tmp_path / 'a.png'
    for image in (pixels, pixels[:1], pixels[:, :1], pixels[:9, :1]):
        image = image[:, :, :channels]
        write(path, image, filters)
        np.testing.assert_array_equal(read_png(path), image[:, :, :3])
        # The file is as another library reads it.
        other = np.asarray(Image.open(path)).reshape(image.shape)
        np.testing.assert_array_equal(other, image)


@pytest.mark.parametrize('split', [1, 7, 100_000])
@pytest.mark.usefixtures('bands')
def test_chunks_of_any_size(tmp_path, pixels, split):
    write(tmp_path / 'a.png', pixels, [1, 4], split)
    np.testing.assert_array_equal(read_png(tmp_path / 'a.png'), pixels[:, :, :3])


def test_large_images_of_other_encoders(tmp_path):
    noise = np.random.default_rng(1).integers(0, 99, (900, 700, 3), dtype=np.uint8)
    path = tmp_path / 'a.png'
    for image in (cv2.GaussianBlur(noise, (0, 0), 1), noise, noise // 99):
        Image.fromarray(image).save(path)
        np.testing.assert_array_equal(read_png(path), image)
        cv2.imwrite(str(path), image[:, :, ::-1])
        np.testing.assert_array_equal(read_png(path), image)


def test_kinds_left_to_other_readers(tmp_path, pixels):
    rgb, grey = pixels[:, :, :3], pixels[:, :, 0]
    palette = Image.fromarray(rgb).quantize(30)
    two = Image.fromarray(np.dstack([grey, pixels[:, :, 3]]), 'LA')
    bits = Image.fromarray(grey > 127)
    for name, image in dict(palette=palette, two=two, bits=bits).items():
        path = tmp_path / f'{name}.png'
        image.save(path)
        assert read_png(path) is None
        np.testing.assert_array_equal(open_scene(path), image.convert('RGB'), name)
    cv2.imwrite(str(tmp_path / 'deep.png'), rgb[:, :, ::-1] * np.uint16(257))
    assert read_png(tmp_path / 'deep.png') is None
    deep = open_scene(tmp_path / 'deep.png').astype(float)
    np.testing.assert_allclose(deep, rgb * (255 / rgb.max()), atol=0.51)
    Image.fromarray(rgb).save(tmp_path / 'a.tif')
    assert read_png(tmp_path / 'a.tif') is None


def test_interlaced(tmp_path, pixels):
    """Adam7 with each pass of the eight-pixel grid as an image of its own."""
    rgb = pixels[:16, :16, :3]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
    passes += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b''.join(
        b'\0' + row.tobytes()
        for x, y, step_x, step_y in passes
        for row in rgb[y::step_y, x::step_x]
    )
    path = tmp_path / 'a.png'
    path.write_bytes(
        png.SIGNATURE
        + chunk(b'IHDR', struct.pack('>2I5B', 16, 16, 8, 2, 0, 0, 1))
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )
    assert read_png(path) is None
    np.testing.assert_array_equal(open_scene(path), rgb)


def test_damage_anywhere_is_found(tmp_path, pixels):
    path = tmp_path / 'a.png'
    write(path, pixels, [1], split=500)
    whole = path.read_bytes()
    for position in range(8, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r'a\.png is missing or broken'):
            open_scene(path)
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r'a\.png'):
            open_scene(path)


def test_damage_that_the_checksums_of_chunks_miss(tmp_path, pixels):
    path = tmp_path / 'a.png'
    rows = write(path, pixels, [1])
    good = zlib.compress(rows)
    row = len(rows) // len(pixels)
    for data in (
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:-9],
        good[:40] + bytes(40) + good[80:],
        zlib.compress(rows[:-row]),
        zlib.compress(rows[: -row // 2]),
        zlib.compress(b'\x05' + rows[1:]),
        b'no zlib stream',
    ):
        write(path, pixels, [1], data=data)
        with pytest.raises(OSError, match=r'damage|ends early|rows'):
            read_png(path)
    # Bytes after the last row are no part of the image.
    write(path, pixels, [1], data=zlib.compress(rows + rows[:100]))
    np.testing.assert_array_equal(read_png(path), pixels[:, :, :3])


def inflated(data):
    """Inflate the image data of a PNG by zlib, which compares Adler-32."""
    parts, position = [], 8
    while position < len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        body = data[position + 8 : position + 8 + length]
        position += length + 12
        assert data[position - 4 : position] == chunk(kind, body)[-4:]
        parts += [body] if kind == b'IDAT' else []
    return zlib.decompress(b''.join(parts))


def test_strips_join_to_an_image(tmp_path, pixels):
    rgb = np.ascontiguousarray(pixels[:, :, :3])
    path = tmp_path / 'a.png'
    for borders in ([0, 70], [0, 1, 70], [0, 30, 31, 69, 70]):
        strips = [
            compress_rows(rgb[start:stop])
            for start, stop in zip(borders, borders[1:], strict=False)
        ]
        path.write_bytes(join_strips(45, 70, strips))
        assert len(inflated(path.read_bytes())) == 70 * (1 + 3 * 45)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), rgb)
        np.testing.assert_array_equal(cv2.imread(str(path))[:, :, ::-1], rgb)
        np.testing.assert_array_equal(read_png(path), rgb)
    assert path.read_bytes() != encode_png(rgb)


def test_checksums_of_long_strips():
    """Long enough for both halves of Adler-32 to wrap round many times."""
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1200, 1000, 3), dtype=np.uint8)
    strips = [compress_rows(image[:500]), compress_rows(image[500:])]
    assert len(inflated(join_strips(1000, 1200, strips))) == 1200 * 3001
    white = np.full((2000, 500, 3), 255, np.uint8)
    strips = [
        compress_rows(white[start : start + 400]) for start in range(0, 2000, 400)
    ]
    inflated(join_strips(500, 2000, strips))
