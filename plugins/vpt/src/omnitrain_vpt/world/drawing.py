"""Crafter's picture of the world, drawn with one gather instead of a loop over cells; the same pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from crafter import constants  # type: ignore[import-untyped]
from crafter.engine import ItemView, LocalView, Textures  # type: ignore[import-untyped]
from numpy.typing import NDArray

VIEW = 9
ITEM_ROWS = 2
LOCAL = (VIEW, VIEW - ITEM_ROWS)
_OUTSIDE = 127


@lru_cache(maxsize=8)
def _textures() -> Textures:
    return Textures(constants.root / "assets")


@lru_cache(maxsize=8)
def _atlas(unit: int) -> NDArray[np.uint8]:
    """Pictures of materials by id, uint8[materials + 2, unit, unit, 3]; the last is what lies outside the world."""
    names = [None, *constants.materials]
    cells = [_textures().get(name, (unit, unit))[..., :3] for name in names]
    return np.stack([*cells, np.full((unit, unit, 3), _OUTSIDE, np.uint8)]).astype(np.uint8)


@lru_cache(maxsize=256)
def _sprite(name: str, unit: int) -> tuple[NDArray[Any], NDArray[Any]]:
    texture = _textures().get(name, (unit, unit))
    alpha = texture[..., 3:].astype(np.float32) / 255 if texture.shape[-1] == 4 else np.ones((unit, unit, 1), np.float32)
    return texture[..., :3].astype(np.float32) / 255, alpha


@lru_cache(maxsize=2048)
def _item(place: int, name: str, amount: int, unit: int) -> NDArray[np.uint8]:
    """The cell of an item with its number, uint8[unit, unit, 3]."""
    view = ItemView(_textures(), [VIEW, ITEM_ROWS])
    canvas = np.zeros((VIEW * unit, ITEM_ROWS * unit, 3), np.uint8)
    size = np.array([unit, unit])
    view._item(canvas, place, name, size)
    view._amount(canvas, place, amount, size)
    x, y = place % VIEW * unit, place // VIEW * unit
    return canvas[x : x + unit, y : y + unit].copy()


class Painter:
    """Draws one environment. unit: pixels of a cell."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.size = VIEW * unit
        self._light: LocalView | None = None

    def paint(self, world: Any, player: Any, dark: bool) -> NDArray[np.uint8]:
        """Return the frame uint8[size, size, 3]. dark: let night and sleep change the light."""
        unit = self.unit
        canvas = np.zeros((self.size, self.size, 3), np.uint8)
        local = self._local(world, player)
        if dark and (world.daylight < 1 or player.sleeping):
            local = self._lit(local, world, player)
        canvas[:, : LOCAL[1] * unit] = local
        for place, (name, amount) in enumerate(player.inventory.items()):
            if amount > 0:
                x, y = place % VIEW * unit, (LOCAL[1] + place // VIEW) * unit
                canvas[x : x + unit, y : y + unit] = _item(place, name, int(amount), unit)
        return np.ascontiguousarray(canvas.transpose(1, 0, 2))

    def _local(self, world: Any, player: Any) -> NDArray[np.uint8]:
        unit = self.unit
        atlas = _atlas(unit)
        left, top = int(player.pos[0]) - LOCAL[0] // 2, int(player.pos[1]) - LOCAL[1] // 2
        ids = np.full(LOCAL, len(atlas) - 1, np.intp)
        width, height = world._mat_map.shape
        x0, x1, y0, y1 = max(left, 0), min(left + LOCAL[0], width), max(top, 0), min(top + LOCAL[1], height)
        ids[x0 - left : x1 - left, y0 - top : y1 - top] = world._mat_map[x0:x1, y0:y1]
        canvas = atlas[ids].transpose(0, 2, 1, 3, 4).reshape(LOCAL[0] * unit, LOCAL[1] * unit, 3)
        numbers = world._obj_map[x0:x1, y0:y1]
        for thing in (world._objects[number] for number in np.sort(numbers[numbers > 0])):
            x, y = (int(thing.pos[0]) - left) * unit, (int(thing.pos[1]) - top) * unit
            colour, alpha = _sprite(thing.texture, unit)
            below = canvas[x : x + unit, y : y + unit].astype(np.float32) / 255
            canvas[x : x + unit, y : y + unit] = (255 * (alpha * colour + (1 - alpha) * below)).astype(np.uint8)
        return canvas

    def _lit(self, canvas: NDArray[np.uint8], world: Any, player: Any) -> NDArray[np.uint8]:
        if self._light is None or self._light._world is not world:
            self._light = LocalView(world, _textures(), list(LOCAL))
        lit = self._light._light(canvas, world.daylight)
        return np.asarray(self._light._sleep(lit) if player.sleeping else lit).astype(np.uint8)
