"""Arranges cut-outs into pictures with boxes: shelves, held and single products, scattered ones, piles.

Every cut-out is painted into the picture and, with its number, into an instance map; both go through the same
perspective. A product's box is the extent of its number in the final map, so a box always fits what is
visible.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from .packages import colour, draw_package, paste, text

KINDS = ("shelf", "single", "held", "scatter", "pile", "empty")
_SHARES = (0.5, 0.17, 0.08, 0.17, 0.05, 0.03)


@dataclass
class Scene:
    """A picture `uint8 [h, w, 3]`, product boxes `[n, 4]` and regions to ignore `[m, 4]`: x0, y0, x1, y1."""

    image: np.ndarray
    boxes: np.ndarray
    ignore: np.ndarray
    instances: np.ndarray | None = None


@dataclass
class Pool:
    """What scenes are made of: drawn products, real cut-outs, photos for backgrounds."""

    drawn: list[np.ndarray]
    real: list[np.ndarray] = field(default_factory=list)
    photos: list[np.ndarray] = field(default_factory=list)

    @staticmethod
    def draw(
        rng: np.random.Generator,
        n: int,
        real: list[np.ndarray] | None = None,
        photos: list[np.ndarray] | None = None,
    ) -> Pool:
        """A pool of `n` freshly drawn products beside the given real ones."""
        real = real or []
        drawn = [draw_package(rng, int(rng.integers(150, 260)), pictures=real) for _ in range(n)]
        return Pool(drawn, real, photos or [])

    def pick(self, rng: np.random.Generator, real_share: float = 0.35) -> np.ndarray:
        """One cut-out, its colours shifted a little (drawn ones a lot)."""
        if self.real and rng.random() < real_share:
            cut, spread = self.real[int(rng.integers(len(self.real)))], 8
        else:
            cut, spread = self.drawn[int(rng.integers(len(self.drawn)))], 90
        if rng.random() < 0.6:
            hsv = cv2.cvtColor(cut[..., :3], cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(-spread, spread + 1))) % 180
            cut = np.dstack([cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), cut[..., 3]])
        return cut


class _Canvas:
    """A picture being painted together with its instance map and each instance's full area."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.ids = np.zeros(image.shape[:2], np.int32)
        self.areas: dict[int, int] = {}

    def put(self, cut: np.ndarray, x: int, y: int, count: bool = True) -> None:
        """Paints a cut-out; with `count` it becomes an instance, otherwise it only hides what lies below."""
        number = len(self.areas) + 1 if count else 0
        paste(self.image, cut, x, y)
        h, w = cut.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, self.ids.shape[1]), min(y + h, self.ids.shape[0])
        solid = cut[..., 3] > 127
        if count:
            self.areas[number] = int(solid.sum())
        if x0 < x1 and y0 < y1:
            self.ids[y0:y1, x0:x1][solid[y0 - y : y1 - y, x0 - x : x1 - x]] = number


def make_scene(rng: np.random.Generator, pool: Pool, longest: int = 448, kind: str | None = None) -> Scene:
    """One random scene with its longer side `longest`."""
    kind = kind or str(rng.choice(KINDS, p=_SHARES))
    aspect = float(rng.choice([3 / 4, 4 / 3, 1.0, 9 / 16, 16 / 9], p=[0.4, 0.25, 0.15, 0.1, 0.1]))
    w, h = (longest, round(longest / aspect)) if aspect >= 1 else (round(longest * aspect), longest)
    if kind in ("shelf", "held"):
        canvas = _shelf(rng, pool, h, w)
        if kind == "held":
            _single(rng, pool, canvas, hand=0.9)
    else:
        canvas = _Canvas(background(rng, pool, h, w))
        if kind == "single":
            _single(rng, pool, canvas, hand=0.35)
        elif kind == "scatter":
            _scatter(rng, pool, canvas)
        elif kind == "pile":
            _pile(rng, pool, canvas)
    return _finish(rng, pool, canvas, kind)


# --- backgrounds ---


def background(rng: np.random.Generator, pool: Pool, h: int, w: int) -> np.ndarray:
    """A ground without products: a strongly blurred photo, plain, gradient, wood, tiles or noise."""
    pick = rng.random()
    if pool.photos and pick < 0.35:
        photo = pool.photos[int(rng.integers(len(pool.photos)))]
        k = float(rng.uniform(0.4, 1.0))
        ph, pw = int(photo.shape[0] * k), int(photo.shape[1] * k)
        y, x = int(rng.integers(photo.shape[0] - ph + 1)), int(rng.integers(photo.shape[1] - pw + 1))
        img = cv2.resize(photo[y : y + ph, x : x + pw], (w, h), interpolation=cv2.INTER_LINEAR)
        return cv2.GaussianBlur(img, (0, 0), float(rng.uniform(6, 20)))
    a, b = np.float32(colour(rng)), np.float32(colour(rng))
    if pick < 0.6:
        b = a * rng.uniform(0.5, 1.2) if rng.random() < 0.7 else b
        t = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
        img = np.broadcast_to(a * (1 - t) + b * t, (h, w, 3)).copy()
    else:
        img = np.broadcast_to(a, (h, w, 3)).copy()
        if pick < 0.75:  # planks or tiles
            step = int(rng.integers(20, 140))
            for i, p in enumerate(range(-int(rng.integers(step)), max(h, w), step)):
                tone = a * rng.uniform(0.85, 1.15)
                if p + step > 0:
                    img[:, max(p, 0) : p + step] = tone
                cv2.line(img, (p, 0), (p, h), tuple(float(c) for c in a * 0.6), 1 + i % 2)
                if rng.random() < 0.5:
                    cv2.line(img, (0, p), (w, p), tuple(float(c) for c in a * 0.6), 1)
        for _ in range(int(rng.integers(0, 8))):  # clutter that is no product: cables, edges, papers, shadows
            p, q = rng.uniform(-0.2, 1.2, 2) * (w, h), rng.uniform(-0.2, 1.2, 2) * (w, h)
            ink = tuple(float(c) for c in a * rng.uniform(0.3, 1.5))
            cv2.line(
                img, tuple(p.astype(int)), tuple(q.astype(int)), ink, int(rng.integers(1, 60)), cv2.LINE_AA
            )
        img = cv2.GaussianBlur(img, (0, 0), float(rng.uniform(0.5, 4)))
    grain = np.float32(rng.normal(0, 1, (h // 4 + 1, w // (8 if rng.random() < 0.3 else 4) + 1)))
    grain = cv2.resize(grain, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.clip(img + grain[..., None] * rng.uniform(0, 14), 0, 255).astype(np.uint8)


# --- arrangements ---


def _fit(cut: np.ndarray, h: float, w: float) -> np.ndarray:
    """The cut-out scaled to fit inside `h × w`."""
    k = min(h / cut.shape[0], w / cut.shape[1])
    size = (max(4, round(cut.shape[1] * k)), max(4, round(cut.shape[0] * k)))
    return cv2.resize(cut, size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR)


def _dim(cut: np.ndarray, gain: float) -> np.ndarray:
    return np.dstack([np.clip(cut[..., :3] * gain, 0, 255).astype(np.uint8), cut[..., 3]])


def _rotate(cut: np.ndarray, degrees: float) -> np.ndarray:
    h, w = cut.shape[:2]
    m = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
    c, s = abs(m[0, 0]), abs(m[0, 1])
    big = (int(h * s + w * c) + 2, int(h * c + w * s) + 2)
    m[:, 2] += (big[0] / 2 - w / 2, big[1] / 2 - h / 2)
    return cv2.warpAffine(cut, m, big, flags=cv2.INTER_LINEAR)


def _shelf(rng: np.random.Generator, pool: Pool, h: int, w: int) -> _Canvas:
    """Rows of products on boards: facings side by side, price tags, a darker row behind, a back panel."""
    back = np.float32(colour(rng)) if rng.random() < 0.4 else np.full(3, rng.uniform(15, 245), np.float32)
    img = background(rng, pool, h, w) if rng.random() < 0.35 else np.full((h, w, 3), back, np.uint8)
    canvas = _Canvas(img)
    rows = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.15, 0.28, 0.25, 0.17, 0.1, 0.05]))
    x_lo = int(rng.uniform(-0.1, 0.12) * w)
    x_hi = w - int(rng.uniform(-0.1, 0.12) * w)
    y_lo, y_hi = int(rng.uniform(-0.15, 0.1) * h), h - int(rng.uniform(-0.15, 0.1) * h)
    edges = np.cumsum(rng.uniform(0.7, 1.3, rows))
    edges = y_lo + (y_hi - y_lo) * np.concatenate([[0], edges / edges[-1]])
    board, tags = np.float32(colour(rng, 20)), rng.random() < 0.6
    tag_ink = colour(rng, 120)
    crowd, tight, same_line = rng.uniform(0.55, 0.98), rng.random() < 0.65, rng.random() < 0.35
    rear = rng.random() < 0.45
    real = float(rng.choice([0.0, 0.35, 1.0], p=[0.45, 0.4, 0.15]))
    for r in range(rows):
        top, bottom = int(edges[r]), int(edges[r + 1])
        lip = max(3, int((bottom - top) * rng.uniform(0.05, 0.14)))
        room = bottom - lip - top
        if room < 14:
            continue
        shade = np.linspace(rng.uniform(0.35, 0.9), 1, room, dtype=np.float32)[:, None, None]
        y0 = max(top, 0)
        band = canvas.image[y0 : max(top + room, 0)]
        if band.size:
            band[:] = (band * shade[y0 - top : y0 - top + len(band)]).astype(np.uint8)
        if rear:
            _fill_row(
                rng, pool, canvas, (x_lo, x_hi), top, room * 0.94, (crowd * 0.9, tight, real), 0.55, same_line
            )
        _fill_row(rng, pool, canvas, (x_lo, x_hi), top, room, (crowd, tight, real), 1.0, same_line)
        y1, y2 = max(bottom - lip, 0), max(bottom, 0)
        tone = tuple(float(c) for c in np.clip(board * rng.uniform(0.9, 1.1), 0, 255))
        cv2.rectangle(canvas.image, (max(x_lo, 0), y1), (x_hi, y2), tone, -1)
        canvas.ids[y1:y2, max(x_lo, 0) : x_hi] = 0
        if rng.random() < 0.5:
            cv2.line(canvas.image, (x_lo, y1), (x_hi, y1), tuple(c * 0.6 for c in tone), 1)
        if tags:
            x = x_lo + int(rng.uniform(0, 30))
            while x < x_hi - 8:
                tw, th = int(lip * rng.uniform(1.2, 2.6)), int(lip * rng.uniform(0.7, 1.0))
                cv2.rectangle(canvas.image, (x, y1), (x + tw, y1 + th), tag_ink, -1)
                if th > 7:
                    text(canvas.image, rng, x + 1, y1 + 1, tw - 2, th - 2, (20, 20, 20))
                x += tw + int(rng.uniform(0.5, 5) * lip)
    return canvas


def _fill_row(
    rng: np.random.Generator,
    pool: Pool,
    canvas: _Canvas,
    span: tuple[int, int],
    top: int,
    room: float,
    style: tuple[float, bool, float],
    gain: float,
    same_line: bool,
) -> None:
    """One row of products standing on `top + room`; `gain` below 1 is the darker row behind."""
    crowd, tight, real = style
    x = span[0] + int(rng.uniform(0, 20)) - (int(room * 0.3) if gain < 1 else 0)
    base_height = rng.uniform(0.6, 0.97) * crowd
    lift = 0 if gain == 1 else int(room * rng.uniform(0.02, 0.1))
    while x < span[1] - 6:
        cut = pool.pick(rng, real)
        share = base_height * rng.uniform(0.92, 1.04) if same_line else rng.uniform(0.4, 1.0) * crowd
        unit = _fit(cut, room * min(share, 1.0), room * rng.uniform(0.7, 1.6))
        if gain != 1:
            unit = _dim(unit, gain * rng.uniform(0.8, 1.1))
        facings = int(rng.choice([1, 2, 3, 4, 6, 9], p=[0.36, 0.24, 0.16, 0.12, 0.08, 0.04]))
        tall = max(1, int(room // (unit.shape[0] + 1)))
        stack = int(rng.integers(1, min(tall, 4) + 1)) if rng.random() < 0.35 else 1
        gap = int(rng.integers(-2, 2)) if tight else int(rng.uniform(0, 0.3) * unit.shape[1])
        for _ in range(facings):
            if x >= span[1] - 6 or (x + unit.shape[1] > span[1] + unit.shape[1] * 0.4):
                break
            for level in range(stack):
                piece = unit
                if rng.random() < 0.5:
                    piece = _dim(piece, float(rng.uniform(0.85, 1.12)))
                if stack == 1 and rng.random() < 0.12:
                    piece = _rotate(piece, float(rng.uniform(-6, 6)))
                y = int(top + room - lift - (level + 1) * unit.shape[0] + rng.integers(-1, 2))
                canvas.put(piece, x + int(rng.integers(-1, 2)), y)
            x += max(6, unit.shape[1] + gap)
        if rng.random() < 0.12:
            x += int(rng.uniform(0.2, 1.5) * unit.shape[1])


def _shadow(canvas: _Canvas, rng: np.random.Generator, cut: np.ndarray, x: int, y: int) -> None:
    alpha = cv2.GaussianBlur(cut[..., 3], (0, 0), float(rng.uniform(3, 9)))
    dark = np.dstack([np.zeros_like(cut[..., :3]), (alpha * rng.uniform(0.2, 0.6)).astype(np.uint8)])
    paste(canvas.image, dark, x + int(rng.integers(-6, 7)), y + int(rng.integers(0, 8)))


def _single(rng: np.random.Generator, pool: Pool, canvas: _Canvas, hand: float) -> None:
    """One large product, perhaps held in a hand, perhaps reaching out of the picture."""
    h, w = canvas.image.shape[:2]
    share = float(rng.uniform(0.35, 1.0) if rng.random() < 0.7 else rng.uniform(0.85, 1.25))
    cut = _rotate(pool.pick(rng, 0.5), float(rng.normal(0, 8) + rng.choice([0, 0, 0, 0, 90, 180])))
    cut = _fit(cut, h * share, w * share)
    ch, cw = cut.shape[:2]
    x = int((w - cw) / 2 + rng.normal(0, 0.1) * w)
    y = int((h - ch) / 2 + rng.normal(0, 0.08) * h)
    if rng.random() >= hand:
        if rng.random() < 0.6:
            _shadow(canvas, rng, cut, x, y)
        canvas.put(cut, x, y)
        return
    skin = np.float32([rng.uniform(150, 235), rng.uniform(105, 175), rng.uniform(80, 145)]) * rng.uniform(
        0.35, 1.05
    )
    left = rng.random() < 0.5
    side, grip = (x if left else x + cw), y + int(ch * rng.uniform(0.35, 0.85))
    thick = int(min(max(cw * 0.3, 14), 60))
    far = (int(side + (-1 if left else 1) * cw), int(h * rng.uniform(0.9, 1.4)))
    limb = np.zeros((h, w), np.uint8)
    cv2.line(limb, (side, grip), far, 255, int(thick * 1.8), cv2.LINE_AA)
    _cover(canvas, limb, skin * 0.85)
    canvas.put(cut, x, y)
    fingers = np.zeros((h, w), np.uint8)
    for i in range(int(rng.integers(1, 5))):
        y0 = grip + int((i - 1.5) * thick * 0.75)
        reach = int(cw * rng.uniform(0.1, 0.45)) * (1 if left else -1)
        start = (side - reach // 3, y0)
        cv2.line(
            fingers, start, (side + reach, y0 + int(rng.normal(0, 6))), 255, int(thick * 0.6) + 1, cv2.LINE_AA
        )
    _cover(canvas, fingers, skin)


def _cover(canvas: _Canvas, mask: np.ndarray, tone: np.ndarray) -> None:
    """Paints a rounded, softly shaded shape that hides products and is none."""
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    light = 0.7 + 0.3 * np.clip(depth / max(float(depth.max()), 1), 0, 1)
    img = np.clip(tone * light[..., None], 0, 255).astype(np.uint8)
    canvas.put(np.dstack([img, mask]), 0, 0, count=False)


def _scatter(rng: np.random.Generator, pool: Pool, canvas: _Canvas) -> None:
    """Several products lying or standing anywhere, seldom hiding each other."""
    h, w = canvas.image.shape[:2]
    n = int(rng.integers(2, 13))
    for _ in range(n):
        size = float(np.clip(rng.normal(0.85, 0.3), 0.3, 1.6)) * (h * w / n) ** 0.5
        turn = rng.normal(0, 8) if rng.random() < 0.7 else rng.uniform(0, 360)
        cut = _rotate(_fit(pool.pick(rng), size, size), float(turn))
        for _ in range(12):
            x, y = int(rng.uniform(-0.05, 0.95) * w), int(rng.uniform(-0.05, 0.95) * h)
            below = canvas.ids[max(y, 0) : y + cut.shape[0], max(x, 0) : x + cut.shape[1]]
            if below.size and (below > 0).mean() < 0.12:
                if rng.random() < 0.5:
                    _shadow(canvas, rng, cut, x, y)
                canvas.put(cut, x, y)
                break


def _pile(rng: np.random.Generator, pool: Pool, canvas: _Canvas) -> None:
    """A bin of one or two products heaped over each other."""
    h, w = canvas.image.shape[:2]
    picks = [pool.pick(rng, 0.8) for _ in range(12)]
    compact = [cut for cut in picks if 0.6 < cut.shape[0] / cut.shape[1] < 1.6] or picks
    kinds = compact[: int(rng.integers(1, 3))]
    size = rng.uniform(0.12, 0.3) * max(h, w)
    for y in np.arange(-size / 2, h, size * rng.uniform(0.45, 0.75)):
        for x in np.arange(-size / 2, w, size * rng.uniform(0.6, 0.9)):
            cut = _fit(kinds[int(rng.integers(len(kinds)))], size * rng.uniform(0.85, 1.1), size)
            cut = _dim(_rotate(cut, float(rng.uniform(0, 360))), float(rng.uniform(0.75, 1.1)))
            canvas.put(cut, int(x + rng.normal(0, 0.12) * size), int(y + rng.normal(0, 0.12) * size))


# --- camera ---


def _finish(rng: np.random.Generator, pool: Pool, canvas: _Canvas, kind: str) -> Scene:
    """Perspective, light, blur, noise and JPEG; then the boxes of what is still visible."""
    h, w = canvas.image.shape[:2]
    tilt = 0.11 if kind in ("shelf", "held") else 0.04
    corners = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    moved = corners + np.float32(rng.uniform(-tilt, tilt, (4, 2))) * (w, h)
    centre = np.float32([w / 2, h / 2])
    zoom = rng.uniform(0.82, 1.25) if kind == "shelf" else rng.uniform(0.95, 1.1)
    angle = np.deg2rad(rng.normal(0, 4))
    spin = np.float32([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = ((moved - centre) @ spin.T * zoom + centre).astype(np.float32)
    m = cv2.getPerspectiveTransform(corners, moved)
    image = cv2.warpPerspective(
        canvas.image, m, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    frame = cv2.warpPerspective(np.full((h, w), 255, np.uint8), m, (w, h))
    if frame.min() < 255:  # what lies beside the shelf
        outside = background(rng, pool, h, w)
        image[frame < 255] = outside[frame < 255]
    ids = cv2.warpPerspective(canvas.ids.astype(np.float32), m, (w, h), flags=cv2.INTER_NEAREST).astype(
        np.int32
    )
    boxes, ignore = _boxes(canvas, ids, m)
    return Scene(degrade(rng, image), boxes, ignore, ids)


def _boxes(canvas: _Canvas, ids: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits the instances into products to find and remains too small to ask for."""
    boxes, ignore = [], []
    before = np.bincount(canvas.ids.ravel(), minlength=len(canvas.areas) + 1)
    for number, area in canvas.areas.items():
        seen = ids == number
        xs, ys = np.where(seen.any(0))[0], np.where(seen.any(1))[0]
        if len(xs) == 0:
            continue
        box = [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]
        cy, cx = np.where(canvas.ids == number)
        extent = np.float32(
            [
                [[cx.min(), cy.min()], [cx.max() + 1, cy.min()]],
                [[cx.max() + 1, cy.max() + 1], [cx.min(), cy.max() + 1]],
            ]
        )
        quad = cv2.perspectiveTransform(extent.reshape(-1, 1, 2), m)
        in_frame = (box[2] - box[0]) * (box[3] - box[1]) / max(np.prod(np.ptp(quad[:, 0], 0)), 1)
        shown = before[number] / max(area, 1)
        good = shown >= 0.5 and in_frame >= 0.45 and min(box[2] - box[0], box[3] - box[1]) >= 10
        (boxes if good else ignore).append(box)
    return np.float32(boxes).reshape(-1, 4), np.float32(ignore).reshape(-1, 4)


def degrade(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Uneven light, glare, white balance, blur, sensor noise and JPEG."""
    h, w = image.shape[:2]
    field_ = cv2.resize(np.float32(rng.uniform(0.55, 1.3, (3, 3))), (w, h), interpolation=cv2.INTER_CUBIC)
    gain = 1 + (field_ - 1) * rng.uniform(0, 1)
    tint = rng.uniform(0.88, 1.12, 3)
    img = np.float32(image) * gain[..., None] * tint * rng.uniform(0.7, 1.2)
    if rng.random() < 0.15:
        ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
        r2 = ((xs - rng.uniform(0, w)) / (w * rng.uniform(0.05, 0.3))) ** 2
        r2 += ((ys - rng.uniform(0, h)) / (h * rng.uniform(0.05, 0.3))) ** 2
        img += (np.exp(-r2) * rng.uniform(40, 180))[..., None]
    pick = rng.random()
    if pick < 0.45:
        img = cv2.GaussianBlur(img, (0, 0), float(rng.uniform(0.3, 1.6)))
    elif pick < 0.55:
        n = int(rng.integers(3, 9))
        line = np.zeros((n, n), np.float32)
        turn = rng.uniform(0, np.pi)
        d = np.array([np.cos(turn), np.sin(turn)]) * n / 2
        cv2.line(line, tuple((n / 2 - d).astype(int)), tuple((n / 2 + d).astype(int)), 1.0, 1)
        img = cv2.filter2D(img, -1, line / max(line.sum(), 1))
    img += rng.normal(0, 1, img.shape).astype(np.float32) * rng.uniform(0, 9)
    img = np.clip(img, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        _, data = cv2.imencode(".jpg", img[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 92))])
        img = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(img)
