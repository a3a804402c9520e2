import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from sarl.datasets.scenes import CLASSES, make_scenes, render_scene
from sarl.datasets.scenes.canvas import Canvas
from sarl.datasets.scenes.make import scene_index
from sarl.datasets.scenes.shapes import Shape, oblong
from sarl.errors import InputError

TOOL = Path(__file__).parents[2] / 'tools' / 'make_scenes.py'
SIZE = 96
SMALL = {'train': 4, 'val': 2, 'seed': 3, 'size': SIZE, 'workers': 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def scenes():
    return [render_scene(0, index) for index in range(40)]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('scenes') / 'made'
    make_scenes(out, **SMALL)
    return out


@pytest.fixture
def canvas():
    ground = np.full((64, 64, 3), 90, np.uint8)
    return Canvas(np.random.default_rng(0), ground, np.zeros((64, 64), bool))


def block(length, width, category=None):
    return Shape([(oblong(length, width), (200, 200, 200))], category=category)


def test_a_scene_is_the_same_every_time(scenes):
    image, objects = render_scene(0, 7)
    assert np.array_equal(image, scenes[7][0])
    assert objects == scenes[7][1]


def test_seed_and_index_change_the_scene(scenes):
    for image, objects in (render_scene(1, 7), scenes[8]):
        assert not np.array_equal(image, scenes[7][0])
        assert objects != scenes[7][1]


def test_images_have_the_asked_shape():
    image, _ = render_scene(0, 0, SIZE)
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8


def test_boxes_lie_inside_and_are_large_enough(scenes):
    boxes = np.array([thing['bbox'] for _, objects in scenes for thing in objects])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 320).all()
    assert (boxes[:, 2:] >= 2).all()


def test_every_class_has_its_share(scenes):
    names = [thing['category'] for _, objects in scenes for thing in objects]
    assert set(names) == set(CLASSES)
    assert min(names.count(name) for name in CLASSES) > 0.02 * len(names)


def test_sizes_are_those_of_tiny_objects(scenes):
    boxes = np.array([thing['bbox'] for _, objects in scenes for thing in objects])
    size = np.sqrt(boxes[:, 2] * boxes[:, 3])
    assert 10 < size.mean() < 16
    assert ((size >= 2) & (size <= 32)).mean() >= 0.9
    assert (size < 8).mean() >= 0.1
    assert (size < 4).any()
    assert 10 <= len(boxes) / len(scenes) <= 35


def test_objects_differ_from_their_surroundings(scenes):
    """A box's pixels vary more than an empty box's of the same size nearby."""
    inside = outside = 0.0
    for image, objects in scenes:
        grey = image.mean(2)
        for x, y, w, h in (thing['bbox'] for thing in objects):
            x0, y0, x1, y1 = int(x), int(y), int(x + w) + 1, int(y + h) + 1
            inside += grey[y0:y1, x0:x1].std()
            away = np.roll(grey, (97, 131), (0, 1))
            outside += away[y0:y1, x0:x1].std()
    assert inside > 1.5 * outside


@pytest.mark.parametrize('hidden', [0, 4, 6])
def test_box_is_tight_about_what_is_seen(canvas, hidden):
    """A 10 x 6 px object at (20, 30), its left `hidden` px under a roof."""
    canvas.put(block(10, 6, 'vehicle'), (25, 33), 0)
    if hidden:
        canvas.put(block(10 + hidden, 20), (10 + (10 + hidden) / 2, 33), 0)
    if hidden > 5:
        assert canvas.boxes() == []
        return
    ((x, y, w, h),) = [thing['bbox'] for thing in canvas.boxes()]
    assert (x, y, w, h) == pytest.approx((20 + hidden, 30, 10 - hidden, 6), abs=0.5)


@pytest.mark.parametrize(('middle', 'kept'), [(1, True), (-1, False)])
def test_object_cut_by_the_border_is_kept_if_half_is_seen(canvas, middle, kept):
    canvas.put(block(10, 6, 'ship'), (middle, 33), 0)
    assert [thing['category'] for thing in canvas.boxes()] == ['ship'] * kept


def test_a_neighbour_hides_only_what_it_covers(canvas):
    canvas.put(block(6, 6, 'vehicle'), (20, 20), 0)
    before = canvas.boxes()
    canvas.put(block(30, 2, 'bridge'), (32, 25), np.pi / 4)
    assert canvas.boxes()[0] == before[0]


def test_what_is_thinner_than_two_px_gets_no_box(canvas):
    canvas.put(block(10, 1.2, 'bridge'), (32, 32), 0)
    assert canvas.boxes() == []


@pytest.mark.parametrize(('x', 'kept'), [(20, True), (30, False)])
def test_ships_stay_in_the_water(canvas, x, kept):
    canvas.wet[:, :32] = True
    ship = block(10, 4, 'ship')
    ship.swims = True
    canvas.put(ship, (x, 32), 0)
    assert len(canvas.boxes()) == kept


def test_object_of_its_grounds_colour_is_made_visible(canvas):
    canvas.rng = np.random.default_rng(2)
    shape = Shape([(oblong(8, 8), (92, 92, 92))], category='vehicle')
    canvas.put(shape, (32, 32), 0)
    assert abs(int(canvas.image[128, 128, 0]) - 90) > 15


def test_coco_files_load(made):
    for split, count in (('train', 4), ('val', 2)):
        coco = COCO(made / 'annotations' / f'{split}.json')
        assert [c['name'] for c in coco.loadCats(range(1, 9))] == list(CLASSES)
        assert len(coco.getImgIds()) == count
        for number, image in enumerate(coco.loadImgs(coco.getImgIds())):
            assert image['scene'] == scene_index(split, number)
            assert (made / 'images' / image['file_name']).stat().st_size > 0
            _, objects = render_scene(3, image['scene'], SIZE)
            found = coco.loadAnns(coco.getAnnIds(image['id']))
            assert [a['bbox'] for a in found] == [o['bbox'] for o in objects]
            for annotation, thing in zip(found, objects, strict=True):
                assert CLASSES[annotation['category_id'] - 1] == thing['category']
                assert annotation['area'] == np.prod(annotation['bbox'][2:])
                assert annotation['iscrowd'] == 0


def test_train_and_val_share_no_scene(made):
    notes = [made / 'annotations' / name for name in ('train.json', 'val.json')]
    loaded = [json.loads(note.read_bytes()) for note in notes]
    train, val = ({image['scene'] for image in c['images']} for c in loaded)
    assert not train & val


def test_output_does_not_depend_on_workers(made, tmp_path):
    make_scenes(tmp_path, **SMALL | {'workers': 2})
    assert contents(tmp_path) == contents(made)


def test_killed_run_ends_with_the_same_bytes(made, tmp_path):
    make_scenes(tmp_path, **SMALL)
    for name in ('annotations/train.json', 'annotations/val.json'):
        (tmp_path / name).unlink()
    images = sorted((tmp_path / 'images').iterdir())
    for image in images[::2]:
        image.unlink()
    kept = {image: image.stat().st_mtime_ns for image in images[1::2]}
    images[0].with_name(images[0].name + '.part').write_bytes(b'half an im')
    images[1].with_name(images[1].name + '.part').write_bytes(b'half an im')
    make_scenes(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(made)
    assert {image: image.stat().st_mtime_ns for image in kept} == kept


def test_kill_before_the_recipe_was_written_is_mended(made, tmp_path):
    (tmp_path / 'recipe.json.part').write_bytes(b'{"gen')
    make_scenes(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(made)


def test_complete_set_is_left_alone(made, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in made.rglob('*')}
    monkeypatch.setattr('sarl.datasets.scenes.make.render_scene', None)
    make_scenes(made, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in made.rglob('*')} == before


def test_other_recipe_is_made_anew_and_spares_the_users_files(made, tmp_path):
    make_scenes(tmp_path, **SMALL | {'seed': 4, 'train': 6})
    mine = tmp_path / 'images' / 'mine.jpg'
    mine.write_bytes(b'mine')
    make_scenes(tmp_path, **SMALL)
    assert mine.read_bytes() == b'mine'
    mine.unlink()
    assert contents(tmp_path) == contents(made)


@pytest.mark.parametrize(
    ('name', 'value'), [('train', 0), ('val', 0), ('size', 63), ('seed', -1)]
)
def test_bad_numbers_are_named(tmp_path, name, value):
    with pytest.raises(InputError, match=f'{name} must be at least .*, not {value}'):
        make_scenes(tmp_path / 'new', **SMALL | {name: value})
    assert not (tmp_path / 'new').exists()


def test_recipe_that_is_not_sarls_is_refused(tmp_path):
    (tmp_path / 'recipe.json').write_text('{"flour": 500}')
    with pytest.raises(InputError, match='holds no recipe.json of sarl'):
        make_scenes(tmp_path, **SMALL)
    assert contents(tmp_path) == {'recipe.json': b'{"flour": 500}'}


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot write scenes in .*file.new: Not a'):
        make_scenes(tmp_path / 'file' / 'new', **SMALL)


def test_tool_refuses_a_foreign_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / 'holiday.jpg').write_text('sea')
    monkeypatch.setattr('sys.argv', [str(TOOL), str(tmp_path), '--train', '1'])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert done.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: {tmp_path} is not empty')
    assert 'empty folder' in line
    assert contents(tmp_path) == {'holiday.jpg': b'sea'}
