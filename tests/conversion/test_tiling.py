import importlib.util
from pathlib import Path

import cv2
import mmyolo
import numpy as np
import pytest
from PIL import Image

from sarl.conversion.png import encode_png
from sarl.conversion.tiling import (
    PADDING,
    Tiling,
    Window,
    cut_tile,
    jpg_tiles,
    objects_in_windows,
    open_scene,
    png_tiles,
    tile_name,
)
from sarl.errors import InputError


@pytest.fixture(scope='module')
def reference():
    """MMYOLO's tool, as the independent reference."""
    path = Path(mmyolo.__file__).parent
    path /= '.mim/tools/dataset_converters/dota/dota_split.py'
    if not path.is_file():
        pytest.skip('this MMYOLO comes without its tools')
    spec = importlib.util.spec_from_file_location('dota_split', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def starts(width, height, **settings):
    return [
        (window.x, window.y) for window in Tiling(**settings).windows(width, height)
    ]


def test_windows_by_hand():
    assert starts(1024, 1024) == [(0, 0)]
    # A pixel more needs a second window, shifted back to the border.
    assert starts(1025, 1024) == [(0, 0), (1, 0)]
    assert starts(1848, 1024) == [(0, 0), (824, 0)]
    # By column, then row.
    assert starts(1024, 2000) == [(0, 0), (0, 824), (0, 976)]
    assert starts(1100, 1100) == [(0, 0), (0, 76), (76, 0), (76, 76)]
    # Too little image in each window, but there is no better one.
    assert starts(300, 1100) == [(0, 0), (0, 76)]
    assert starts(5, 4) == [(0, 0)]


def test_windows_of_rates_by_hand():
    # At half size the window is 200 px; 100 x 100 px is a quarter of it: left out.
    assert Tiling(100, 20, (0.5, 1.0)).windows(100, 100) == [Window(0, 0, 100, 1.0)]
    assert Tiling(100, 20, (2.0,)).windows(90, 50) == [
        Window(0, 0, 50, 2.0),
        Window(40, 0, 50, 2.0),
    ]


def test_windows_are_those_of_the_reference(reference):
    rng = np.random.default_rng(0)
    for _ in range(300):
        rates = tuple(rng.choice([0.5, 0.75, 1.0, 1.5], rng.integers(1, 4), False))
        patch, gap = int(rng.integers(20, 100)), int(rng.integers(0, 15))
        width, height = rng.integers(1, 400, 2).tolist()
        theirs = reference.get_sliding_window(
            dict(width=width, height=height),
            [(int(patch / rate), int(gap / rate)) for rate in rates],
            0.6,
        )
        ours = [
            [x, y, x + size, y + size]
            for x, y, size, _ in Tiling(patch, gap, rates).windows(width, height)
        ]
        assert ours == theirs.tolist()


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def kept(polygons, *windows):
    return [
        indices.tolist()
        for indices in objects_in_windows(np.array(polygons, float), windows)
    ]


def test_objects_by_hand():
    window = Window(100, 100, 50, 1.0)
    polygons = [
        square(110, 110, 10),
        square(97, 110, 10),
        square(96.9, 110, 10),
        square(150, 110, 10),
        # A diamond, of which 1 / 8 is outside, though 1 / 4 of its bounds is.
        [95, 120, 105, 110, 115, 120, 105, 130],
        # All but a corner of 2 px; its bounds fill the window.
        [98, 125, 125, 100, 150, 125, 125, 150],
        # A bow tie: its hull is the square of 10 px.
        [110, 110, 120, 120, 120, 110, 110, 120],
        [96, 110, 106, 120, 106, 110, 96, 120],
    ]
    assert kept(polygons, window) == [[0, 1, 4, 5, 6]]
    assert kept(polygons, Window(0, 0, 10, 1.0), window) == [[], [0, 1, 4, 5, 6]]
    assert kept(np.empty((0, 8)), window) == [[]]


def test_objects_are_those_of_the_reference(reference):
    rng = np.random.default_rng(1)
    polygons = np.array(
        [
            cv2.boxPoints((rng.uniform(-10, 310, 2), rng.uniform(3, 90, 2), angle))
            for angle in rng.uniform(0, 90, 400)
        ]
    ).reshape(-1, 8)
    windows = Tiling(100, 30).windows(300, 260)
    boxes = np.array([[x, y, x + size, y + size] for x, y, size, _ in windows])
    theirs = reference.ann_window_iof(polygons.astype(np.float32), boxes) >= 0.7
    assert theirs.any(axis=1).mean() > 0.5
    assert kept(polygons, *windows) == [np.flatnonzero(k).tolist() for k in theirs.T]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def test_cut_tile_is_the_scene_and_padding(pixels):
    tile = cut_tile(Image.fromarray(pixels), Window(60, 30, 40, 1.0), 40)
    assert tile.shape == (40, 40, 3)
    assert (tile[:40, :30] == pixels[30:, 60:]).all()
    assert (tile[:, 30:] == PADDING).all()


def test_cut_tile_rescales_the_window(pixels):
    tile = cut_tile(Image.fromarray(pixels), Window(10, 4, 40, 0.5), 20)
    blocks = pixels[4:44, 10:50].reshape(20, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(tile - blocks).max() <= 1
    assert cut_tile(Image.fromarray(pixels), Window(0, 0, 20, 2.0), 40).shape[0] == 40


def test_png_is_lossless(pixels, tmp_path):
    path = tmp_path / 'tile.png'
    for image in (pixels, pixels[:1], pixels[:, :1], np.full_like(pixels, 7)):
        path.write_bytes(encode_png(image))
        assert (cv2.imread(str(path))[:, :, ::-1] == image).all()
        # Checks the checksums too.
        with Image.open(path) as opened:
            opened.verify()
        assert (np.asarray(Image.open(path)) == image).all()


def test_jpg_is_close(pixels):
    smooth = cv2.GaussianBlur(pixels, (0, 0), 4)
    windows = Tiling(50, 10).windows(90, 70)
    tiles = list(jpg_tiles(smooth, windows, 50))
    for window, tile in zip(windows, tiles, strict=True):
        decoded = cv2.imdecode(np.frombuffer(tile, np.uint8), 1)[:, :, ::-1]
        expected = cut_tile(smooth, window, 50)
        assert np.abs(decoded.astype(int) - expected).mean() < 2


def test_png_tiles_are_the_windows(pixels):
    """Whatever rows they share, and whether the scene is smaller than a tile."""
    rng = np.random.default_rng(3)
    grey = pixels[:, :, :1]
    for _ in range(60):
        patch = int(rng.integers(10, 100))
        rates = tuple(rng.choice([0.5, 1.0, 1.5], rng.integers(1, 4), False))
        tiling = Tiling(patch, int(rng.integers(0, min(9, patch // 2))), rates)
        height, width = rng.integers(1, 71), rng.integers(1, 91)
        part = pixels[:height, :width]
        windows = tiling.windows(width, height)
        for scene, channels in (
            (part, part),
            (Image.fromarray(part), part),
            (grey[:height, :width], grey[:height, :width].repeat(3, axis=2)),
        ):
            tiles = list(png_tiles(scene, windows, patch))
            for window, tile in zip(windows, tiles, strict=True):
                x, y, size, _ = window
                shown = channels[y : y + size, x : x + size]
                expected = np.empty((size, size, 3), np.uint8)
                expected[:] = PADDING
                expected[: shown.shape[0], : shown.shape[1]] = shown
                if size != patch:
                    expected = cv2.resize(
                        expected,
                        (patch, patch),
                        interpolation=3 if size > patch else 1,
                    )
                decoded = cv2.imdecode(np.frombuffer(tile, np.uint8), 1)[:, :, ::-1]
                np.testing.assert_array_equal(decoded, expected)


def test_scenes_of_all_kinds_become_rgb(pixels, tmp_path):
    grey = pixels[:, :, 0]
    images = {
        'grey.png': (grey, grey[..., None].repeat(3, axis=2)),
        'colour.PNG': (pixels, pixels),
        'alpha.png': (np.dstack([pixels, grey]), pixels),
        'plain.tif': (pixels, pixels),
    }
    for name, (content, expected) in images.items():
        Image.fromarray(content).save(tmp_path / name)
        tile = cut_tile(open_scene(tmp_path / name), Window(0, 0, 70, 1.0), 70)
        assert (tile == expected[:70, :70]).all(), name
    # 16 bits: the brightest value becomes 255.
    deep = pixels.astype(np.uint16) * 16
    deep[0, 0] = 4080
    for name, content in (('deep.png', deep), ('deep grey.png', deep[:, :, 0])):
        cv2.imwrite(str(tmp_path / name), content)
        tile = cut_tile(open_scene(tmp_path / name), Window(0, 0, 70, 1.0), 70)
        expected = np.dstack([content] * 3) if content.ndim == 2 else content
        assert np.abs(tile[:, :, ::-1] - expected[:70, :70] / 16).max() <= 1, name


def test_broken_scene(pixels, tmp_path):
    path = tmp_path / 'scene.png'
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r'scene\.png is missing or broken'):
        open_scene(path)
    with pytest.raises(InputError, match=r'none\.png is missing'):
        open_scene(tmp_path / 'none.png')


@pytest.mark.parametrize(
    ('settings', 'mention'),
    [
        ((100, 100), 'gap of 100 px'),
        ((100, -1), 'gap of -1 px'),
        ((100, 20, ()), 'rates'),
        ((100, 20, (0.0,)), 'rates are above 0'),
        ((100, 20, (float('nan'),)), 'rates are above 0'),
        ((100, 20, (1.0, 1.0)), 'same size'),
        ((3, 2, (2.0,)), 'do not move on'),
    ],
)
def test_bad_settings(settings, mention):
    with pytest.raises(InputError, match=mention):
        Tiling(*settings)


def test_names():
    assert tile_name('P0706', Window(824, 0, 1024, 1.0)) == 'P0706__1024__824___0'
