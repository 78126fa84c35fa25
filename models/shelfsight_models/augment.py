"""What shops and phones do to a picture: crop, tilt, perspective, blur, glare, shadow, hands, noise, JPEG.

Everything works on u8 `[H, W, 3]` arrays with one `numpy` generator, so a seed gives the same pictures
again. A view costs about 2 ms at 224².
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Pixels = np.ndarray
cv2.setNumThreads(1)  # the callers run several processes


@dataclass(frozen=True)
class Strength:
    """How hard to hit a picture; probabilities are per view."""

    crop: tuple[float, float] = (0.35, 1.1)  # share of the area kept; above 1 shows the surroundings
    rotate: float = 15.0  # degrees, one standard deviation is half of it
    perspective: float = 0.08  # share of the side by which corners move
    flip: float = 0.25
    colour: float = 0.25
    light: float = 0.35
    blur: float = 0.25
    glare: float = 0.15
    hand: float = 0.15
    erase: float = 0.2
    noise: float = 0.2
    jpeg: float = 0.2


def view(pixels: Pixels, size: int, rng: np.random.Generator, how: Strength) -> Pixels:
    """One augmented view `[size, size, 3]` of a picture."""
    out = warp(pixels, size, rng, how)
    if rng.random() < how.flip:
        out = out[:, ::-1]
    out = colour(out, rng, how.colour)
    if rng.random() < how.light:
        out = uneven_light(out, rng)
    if rng.random() < how.glare:
        out = glare(out, rng)
    if rng.random() < how.hand:
        out = hand(out, rng)
    if rng.random() < how.erase:
        out = erase(out, rng)
    if rng.random() < how.blur:
        out = blur(out, rng)
    if rng.random() < how.noise:
        out = noise(out, rng)
    if rng.random() < how.jpeg:
        _, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))])
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(out)


def warp(pixels: Pixels, size: int, rng: np.random.Generator, how: Strength) -> Pixels:
    """Random crop, rotation and perspective in one resampling; areas outside are mirrored or plain."""
    height, width = pixels.shape[:2]
    area = rng.uniform(*how.crop)
    aspect = np.exp(rng.uniform(-0.25, 0.25))
    w, h = np.sqrt(area * aspect), np.sqrt(area / aspect)  # in shares of the picture's own sides
    cx = 0.5 + (rng.uniform(-0.5, 0.5) * max(0.0, 1 - w) if w < 1 else 0)
    cy = 0.5 + (rng.uniform(-0.5, 0.5) * max(0.0, 1 - h) if h < 1 else 0)
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    angle = np.deg2rad(np.clip(rng.normal(0, how.rotate / 2), -2 * how.rotate, 2 * how.rotate))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (corners * [width, height]) @ turn.T
    corners += rng.uniform(-how.perspective, how.perspective, (4, 2)) * [w * width, h * height]
    corners += np.array([cx * width, cy * height])
    # Shrink first where the warp would skip pixels: it samples only four neighbours.
    scale = max(w * width, h * height) / size
    if scale > 1.6:
        factor = scale / 1.2
        small = (max(8, int(width / factor)), max(8, int(height / factor)))
        corners *= np.array([small[0] / width, small[1] / height])
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    target = np.float32([[0, 0], [size, 0], [size, size], [0, size]])
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    if rng.random() < 0.5:
        return cv2.warpPerspective(
            pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
    fill = tuple(float(v) for v in rng.integers(40, 220, 3))
    return cv2.warpPerspective(
        pixels, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )


def colour(pixels: Pixels, rng: np.random.Generator, amount: float) -> Pixels:
    """Exposure, white balance, saturation and gamma, as one 3×3 matrix and one table."""
    saturation = 1 + rng.uniform(-amount, amount) * 1.5
    balance = (1 + rng.uniform(-amount, amount)) * (1 + rng.uniform(-amount, amount, 3) * 0.35)
    grey = np.array([0.299, 0.587, 0.114])
    matrix = saturation * np.eye(3) + (1 - saturation) * np.ones((3, 1)) * grey
    matrix = matrix * balance[:, None]
    out = cv2.transform(pixels, matrix.astype(np.float32))
    gamma = np.exp(rng.uniform(-amount, amount))
    table = np.clip(255 * (np.arange(256) / 255.0) ** gamma + rng.uniform(-25, 25) * amount, 0, 255)
    return cv2.LUT(out, table.astype(np.uint8))


def uneven_light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A slope of brightness across the picture, or the edge of a shadow."""
    size = pixels.shape[0]
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    slope = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    if rng.random() < 0.4:
        slope = np.tanh((slope - rng.uniform(-0.5, 0.5)) * rng.uniform(3, 12))
    gain = 1 + rng.uniform(0.1, 0.45) * slope
    return np.clip(pixels * gain[..., None], 0, 255).astype(np.uint8)


def glare(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A soft white reflection."""
    size = pixels.shape[0]
    mask = np.zeros((64, 64), np.float32)
    centre = tuple(int(v) for v in rng.integers(4, 60, 2))
    axes = (int(rng.integers(3, 18)), int(rng.integers(2, 7)))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.5, 1.0)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.0, 4.0)))
    mask = cv2.resize(mask, (size, size))[..., None]
    return (pixels * (1 - mask) + 255 * mask).astype(np.uint8)


def hand(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Two to four fingers that come in from one side."""
    out = pixels.copy()
    size = out.shape[0]
    tone = np.array([rng.uniform(90, 235), 0, 0])
    tone[1], tone[2] = tone[0] * rng.uniform(0.65, 0.82), tone[0] * rng.uniform(0.48, 0.7)
    side = rng.integers(0, 4)
    start = rng.uniform(0.1, 0.7)
    thick = rng.uniform(0.06, 0.11) * size
    for finger in range(int(rng.integers(2, 5))):
        along = (start + finger * 2.2 * thick / size) * size
        reach = rng.uniform(0.1, 0.32) * size
        tip = {0: (reach, along), 1: (size - reach, along), 2: (along, reach), 3: (along, size - reach)}[
            int(side)
        ]
        base = {0: (-thick, along), 1: (size + thick, along), 2: (along, -thick), 3: (along, size + thick)}[
            int(side)
        ]
        shade = tuple(float(v) for v in np.clip(tone * rng.uniform(0.85, 1.1), 0, 255))
        p, q = (tuple(int(v) for v in point) for point in (base, tip))
        cv2.line(out, p, q, shade, int(2 * thick), cv2.LINE_AA)
    return out


def erase(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """One or two covered rectangles: price tags, other packages."""
    out = pixels.copy()
    size = out.shape[0]
    for _ in range(int(rng.integers(1, 3))):
        w, h = (int(v) for v in rng.uniform(0.1, 0.4, 2) * size)
        x, y = int(rng.integers(0, size - w)), int(rng.integers(0, size - h))
        out[y : y + h, x : x + w] = rng.integers(0, 256, 3, dtype=np.uint8)
    return out


def blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Out of focus, or moved during the exposure."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.6, 2.2)))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    c = (length - 1) / 2
    for t in np.linspace(-c, c, 2 * length):
        kernel[round(c + t * np.sin(angle)), round(c + t * np.cos(angle))] = 1
    return cv2.filter2D(pixels, -1, kernel / kernel.sum())


def noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Sensor noise."""
    size = pixels.shape[:2]
    grain = rng.normal(0, rng.uniform(3, 14), (size[0] // 2, size[1] // 2, 3)).astype(np.float32)
    grain = cv2.resize(grain, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def cut_out(pixels: Pixels, tolerance: int = 12) -> np.ndarray | None:
    """Mask u8 `[H, W]` (255 = product) of an iconic picture on a plain ground; `None` where there is no
    such ground.
    """
    height, width = pixels.shape[:2]
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int32)
    if np.abs(corners - corners.mean(0)).max() > 3 * tolerance:
        return None
    mask = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    image = np.array(pixels)  # floodFill wants an array it could write to
    for seed in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if mask[seed[1] + 1, seed[0] + 1] == 0:
            cv2.floodFill(image, mask, seed, 0, (tolerance,) * 3, (tolerance,) * 3, flags)
    product = 255 - mask[1:-1, 1:-1]
    share = float((product > 0).mean())
    if not 0.08 < share < 0.95:
        return None
    return cv2.GaussianBlur(product, (3, 3), 0)


def place(pixels: Pixels, mask: np.ndarray, ground: Pixels, rng: np.random.Generator) -> Pixels:
    """Puts a cut-out product before another picture, larger or smaller than it lay on its own ground."""
    side = 288
    back = cv2.resize(ground, (side, side), interpolation=cv2.INTER_AREA)
    ys, xs = np.nonzero(mask > 127)
    top, bottom, left, right = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    crop, alpha = pixels[top:bottom, left:right], mask[top:bottom, left:right]
    scale = side * rng.uniform(0.55, 1.05) / max(crop.shape[:2])
    size = (max(8, int(crop.shape[1] * scale)), max(8, int(crop.shape[0] * scale)))
    crop, alpha = cv2.resize(crop, size), cv2.resize(alpha, size)
    if rng.random() < 0.4:
        # Fruit lies in heaps: the same product again behind itself.
        back = _paste(back, crop, alpha, rng)
        back = _paste(back, crop, alpha, rng)
    return _paste(back, crop, alpha, rng, centred=True)


def _paste(
    back: Pixels, crop: Pixels, alpha: np.ndarray, rng: np.random.Generator, centred: bool = False
) -> Pixels:
    side = back.shape[0]
    spread = 0.15 if centred else 0.6
    x = int((side - crop.shape[1]) / 2 + rng.uniform(-spread, spread) * side / 2)
    y = int((side - crop.shape[0]) / 2 + rng.uniform(-spread, spread) * side / 2)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + crop.shape[1], side), min(y + crop.shape[0], side)
    if x0 >= x1 or y0 >= y1:
        return back
    out = back.copy()
    part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
    a = alpha[part][..., None].astype(np.float32) / 255
    out[y0:y1, x0:x1] = (crop[part] * a + out[y0:y1, x0:x1] * (1 - a)).astype(np.uint8)
    return out
