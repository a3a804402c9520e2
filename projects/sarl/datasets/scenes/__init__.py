"""The embedded data set: overhead scenes of tiny objects, drawn from a seed.

A scene is laid out in areas: blocks, and the roads and rivers between them. The kind
of an area says which ground it gets and what stands there. Things are shapes, coloured
polygons; those of AI-TOD's classes get boxes, those that only look like them do not.

From the bottom up: `colours` and `shapes`; `objects` and `clutter`, made of them;
`areas`, `grounds` and the `canvas` that things are put on; `strips` and `blocks`, what
stands where; `layout`, `render` and `make`, a whole scene and a whole data set.

To add a thing, write a function that returns its `Shape` and put it in some block.
"""

from .make import CLASSES, make_scenes
from .render import render_scene

__all__ = ['CLASSES', 'make_scenes', 'render_scene']
