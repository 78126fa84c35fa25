"""Draws synthetic packages: boxes, bottles, cans, jars, bags, cartons, tubes and fruit, as RGBA cut-outs.

A cut-out is `uint8 [h, w, 4]`: RGB and coverage (255 inside the product). The look matters less than the
variety: what a detector must learn is that print, inner pictures, seams and caps belong to one product, and
that an equal neighbour does not.
"""

from __future__ import annotations

import cv2
import numpy as np

KINDS = ("box", "box3d", "carton", "bottle", "can", "jar", "bag", "tube", "blister", "fruit")
# fmt: off
_WORDS = (
    "NOVA", "BREW", "SUNNY", "OATS", "ALBA", "RIO", "PURE", "CRISP", "MILD", "TERRA", "FRESH", "GUSTO",
    "MOKA", "LUNA", "KIDO", "BIO", "EKO", "HAVRE", "SALT", "DELI", "ZEST", "APPLE", "COCOA", "VANILLA",
    "MINT", "CHILI", "TOMATO", "RICE", "PASTA", "SOAP", "CLEAN", "SOFT", "ULTRA", "PLUS", "MAX", "500g",
    "1L", "250ml", "12x", "0,5kg", "3.0%", "LIGHT", "ORIGINAL", "CLASSIC", "NATURAL", "SUPER", "EXTRA",
    "FAMILY", "No1", "24h", "SPF30", "ORANGE", "GREEN", "TEA",
)
# fmt: on
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def colour(rng: np.random.Generator, lo: int = 0, hi: int = 255) -> tuple[int, int, int]:
    """A colour: half the time saturated, else pastel, dark, white or grey."""
    pick = rng.random()
    if pick < 0.5:
        h, s, v = rng.integers(0, 180), rng.integers(120, 256), rng.integers(90, 256)
    elif pick < 0.7:
        h, s, v = rng.integers(0, 180), rng.integers(20, 110), rng.integers(170, 256)
    elif pick < 0.82:
        h, s, v = rng.integers(0, 180), rng.integers(30, 200), rng.integers(15, 80)
    else:
        h, s, v = rng.integers(0, 180), rng.integers(0, 18), rng.integers(10, 256)
    rgb = cv2.cvtColor(np.uint8([[[h, s, v]]]), cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(int(c) for c in np.clip(rgb, lo, hi))


def text(img: np.ndarray, rng: np.random.Generator, x: int, y: int, w: int, h: int, ink: tuple) -> None:
    """One or two words fitted into the rectangle."""
    words = " ".join(rng.choice(_WORDS, size=int(rng.integers(1, 3))))
    if rng.random() < 0.3:
        words = words.capitalize()
    font = int(rng.choice(_FONTS))
    thick = max(1, int(h * rng.uniform(0.06, 0.2)))
    (tw, th), _ = cv2.getTextSize(words, font, 1.0, thick)
    scale = min(w / max(tw, 1), h / max(th, 1)) * 0.95
    cv2.putText(
        img,
        words,
        (int(x), int(y + (h + th * scale) / 2)),
        font,
        scale,
        ink,
        max(1, int(thick * 0.7)),
        cv2.LINE_AA,
    )


def _barcode(img: np.ndarray, rng: np.random.Generator, x: int, y: int, w: int, h: int) -> None:
    cv2.rectangle(img, (x, y), (x + w, y + h), (250, 250, 250), -1)
    bars = np.repeat(rng.random(max(w // 2, 4)) < 0.5, 2)[: max(w - 6, 1)]
    patch = img[y + 2 : y + int(h * 0.8), x + 3 : x + 3 + len(bars)]
    patch[:, bars[: patch.shape[1]]] = 15


def _gradient(h: int, w: int, a: tuple, b: tuple, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    t = np.cos(angle) * xs / w + np.sin(angle) * ys / h
    t = (t - t.min()) / max(float(np.ptp(t)), 1e-6)
    return (np.float32(a) * (1 - t[..., None]) + np.float32(b) * t[..., None]).astype(np.uint8)


def _shape(img: np.ndarray, rng: np.random.Generator, cx: int, cy: int, r: int, ink: tuple) -> None:
    pick = rng.random()
    if pick < 0.35:
        axes = (max(1, int(r * rng.uniform(0.5, 1))), max(1, int(r * rng.uniform(0.5, 1))))
        cv2.ellipse(img, (cx, cy), axes, float(rng.uniform(0, 180)), 0, 360, ink, -1, cv2.LINE_AA)
        shine = tuple(min(255, c + 60) for c in ink)
        cv2.circle(img, (cx - axes[0] // 3, cy - axes[1] // 3), max(1, r // 5), shine, -1, cv2.LINE_AA)
    elif pick < 0.6:
        n = int(rng.integers(3, 12))
        turn = rng.uniform(0, 2 * np.pi) + np.arange(2 * n) * np.pi / n
        radius = np.where(np.arange(2 * n) % 2 == 0, r, r * rng.uniform(0.4, 0.95))
        pts = np.stack([cx + radius * np.cos(turn), cy + radius * np.sin(turn)], 1)
        cv2.fillPoly(img, [pts.astype(np.int32)], ink, cv2.LINE_AA)
    else:
        box = cv2.boxPoints(((cx, cy), (r * 2, r * rng.uniform(0.4, 2)), float(rng.uniform(-20, 20))))
        cv2.fillPoly(img, [box.astype(np.int32)], ink, cv2.LINE_AA)


def artwork(rng: np.random.Generator, h: int, w: int, pictures: list[np.ndarray] | None = None) -> np.ndarray:
    """The printed face of a package, `uint8 [h, w, 3]`; `pictures` (RGBA) may be printed on it."""
    base, accent, ink = colour(rng), colour(rng), colour(rng)
    if sum(abs(a - b) for a, b in zip(ink, base, strict=True)) < 180:
        ink = (255, 255, 255) if sum(base) < 380 else (10, 10, 20)
    img = _gradient(h, w, base, accent, rng) if rng.random() < 0.3 else np.full((h, w, 3), base, np.uint8)
    if rng.random() < 0.35:  # back of a package: white panel of small print
        m = int(min(h, w) * rng.uniform(0.02, 0.15))
        if rng.random() < 0.7:
            paper = colour(rng, 170)
            cv2.rectangle(img, (m, m), (w - m, h - m), paper, -1)
        for _ in range(int(rng.integers(1, 4))):
            x0, y0 = int(rng.uniform(m, w * 0.5)), int(rng.uniform(m, h * 0.7))
            cols, rows = int(rng.uniform(0.3, 0.5) * w), int(rng.uniform(0.15, 0.5) * h)
            step = max(3, int(h * rng.uniform(0.018, 0.05)))
            for y in range(y0, min(y0 + rows, h - m - 2), step):
                x1 = min(w - m - 1, x0 + int(cols * rng.uniform(0.6, 1)))
                cv2.line(img, (x0, y), (x1, y), (40, 40, 45), max(1, step // 3))
                for x in range(x0, x1, max(4, step)):
                    if rng.random() < 0.2:
                        cv2.line(img, (x, y), (x + step // 2, y), base, max(1, step // 3))
    else:
        for _ in range(int(rng.integers(0, 4))):  # bands
            y0, band = int(rng.uniform(0, h)), int(rng.uniform(0.03, 0.35) * h)
            if rng.random() < 0.7:
                cv2.rectangle(img, (0, y0), (w, y0 + band), colour(rng), -1)
            else:
                slope = int(rng.uniform(-0.4, 0.4) * h)
                pts = np.int32([[0, y0], [w, y0 + slope], [w, y0 + slope + band], [0, y0 + band]])
                cv2.fillPoly(img, [pts], colour(rng), cv2.LINE_AA)
        for _ in range(int(rng.integers(0, 7))):
            r = max(2, int(min(h, w) * rng.uniform(0.04, 0.42)))
            _shape(img, rng, int(rng.uniform(0, w)), int(rng.uniform(0, h)), r, colour(rng))
        if pictures and rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 3))):
                art = pictures[int(rng.integers(len(pictures)))]
                side = min(w, h) * rng.uniform(0.35, 0.8)
                k = side / max(art.shape[:2])
                art = cv2.resize(art, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
                paste(img, art, int(rng.uniform(-0.1, 0.6) * w), int(rng.uniform(0.1, 0.7) * h))
        th = h * rng.uniform(0.08, 0.22)
        text(img, rng, int(w * 0.06), int(h * rng.uniform(0.04, 0.4)), int(w * 0.88), int(th), ink)
        for _ in range(int(rng.integers(0, 4))):
            y0, hh = h * rng.uniform(0.3, 0.9), h * rng.uniform(0.03, 0.09)
            text(img, rng, int(w * rng.uniform(0.05, 0.4)), int(y0), int(w * 0.55), int(hh), ink)
    if rng.random() < 0.25:
        bw, bh = int(w * rng.uniform(0.25, 0.6)), int(h * rng.uniform(0.1, 0.25))
        _barcode(img, rng, int(rng.uniform(0, w - bw - 1)), int(rng.uniform(0, h - bh - 1)), bw, bh)
    return img


def paste(img: np.ndarray, cut: np.ndarray, x: int, y: int) -> None:
    """Alpha-blends an RGBA cut-out into an RGB picture in place, clipped at the borders."""
    h, w = cut.shape[:2]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, img.shape[1]), min(y + h, img.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = cut[y0 - y : y1 - y, x0 - x : x1 - x]
    alpha = part[..., 3:].astype(np.uint16)
    under = img[y0:y1, x0:x1]
    under[:] = ((part[..., :3] * alpha + under * (255 - alpha)) // 255).astype(np.uint8)


def _cylinder(img: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shades the picture as if wrapped round an upright cylinder."""
    w = img.shape[1]
    x = np.linspace(-1, 1, w, dtype=np.float32)
    light = rng.uniform(-0.6, 0.6)
    shade = np.clip(0.35 + 0.75 * np.sqrt(np.clip(1 - ((x - light * 0.4) / 1.25) ** 2, 0, 1)), 0, 1.15)
    shine = np.exp(-(((x - light) / rng.uniform(0.04, 0.15)) ** 2)) * rng.uniform(0, 110)
    return np.clip(img * shade[None, :, None] + shine[None, :, None], 0, 255).astype(np.uint8)


def _wrap(face: np.ndarray, h: int, w: int) -> np.ndarray:
    """Foreshortens a flat face towards both edges of a cylinder."""
    angle = np.arcsin(np.linspace(-0.98, 0.98, w)) / np.pi + 0.5
    cols = np.clip(angle * face.shape[1], 0, face.shape[1] - 1).astype(int)
    rows = np.linspace(0, face.shape[0] - 1, h).astype(int)
    return face[rows][:, cols]


def _profile(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, float]:
    """Half-width of a round package from top to bottom, `[200]` in 0..1, and where the cap ends."""
    t = np.linspace(0, 1, 200)
    if kind == "can":
        rim = rng.uniform(0, 0.06)
        return np.where((t < rim) | (t > 1 - rim), rng.uniform(0.85, 1), 1.0), rng.choice([0.0, rim, 0.12])
    if kind == "jar":
        cap = rng.uniform(0.1, 0.3)
        lid = rng.uniform(0.75, 1.02)
        body = np.where(t < cap, lid, 1.0)
        neck = (t >= cap) & (t < cap + 0.06)
        return np.where(neck, min(lid, 1) * 0.9, body), cap
    if kind == "tube":  # stands on its cap, flat seam on top
        cap = rng.uniform(0.1, 0.25)
        width = np.where(t > 1 - cap, rng.uniform(0.5, 0.95), 1 - 0.15 * t * rng.uniform(0, 1))
        return width, -cap
    cap = rng.uniform(0.05, 0.25)
    neck, shoulder = rng.uniform(0.18, 0.5), rng.uniform(0.03, 0.35)
    s = np.clip((t - cap) / shoulder, 0, 1)
    body = neck + (1 - neck) * (s * s * (3 - 2 * s))
    if rng.random() < 0.3:
        body = body * (1 - rng.uniform(0, 0.2) * np.exp(-(((t - rng.uniform(0.5, 0.8)) / 0.12) ** 2)))
    return np.where(t < cap, neck * rng.uniform(0.9, 1.6), body), cap


def _round(rng: np.random.Generator, kind: str, h: int, w: int, pictures: list | None) -> np.ndarray:
    width, cap = _profile(rng, kind)
    width = np.clip(width / max(width.max(), 1e-6), 0.05, 1)
    liquid = colour(rng)
    img = np.full((h, w, 3), liquid, np.uint8)
    top = int(max(cap, 0) * h)
    if kind in ("bottle", "jar") and rng.random() < 0.75:  # label on a see-through or plain body
        y0 = int(np.clip(rng.uniform(max(cap, 0), 0.55), 0, 0.6) * h)
        y1 = int(rng.uniform(0.7, 1.0) * h)
        if y1 - y0 > 12:
            img[y0:y1] = _wrap(artwork(rng, max(y1 - y0, 16), max(int(w * 1.3), 16), pictures), y1 - y0, w)
        if rng.random() < 0.3:
            img[: int(rng.uniform(0.1, 0.5) * h)] = np.clip(np.float32(liquid) * 0.6 + 70, 0, 255)
    else:
        img[:] = _wrap(artwork(rng, h, max(int(w * 1.3), 16), pictures), h, w)
    if top > 2:
        img[:top] = colour(rng)
        if rng.random() < 0.5:
            img[:top, :: max(3, w // 20)] //= 2
    elif cap < 0:
        img[int((1 + cap) * h) :] = colour(rng)
    if kind == "can" and rng.random() < 0.7:
        rim = max(1, int(h * 0.035))
        img[:rim] = img[-rim:] = (190, 190, 195)
    img = _cylinder(img, rng)
    half = np.interp(np.linspace(0, 1, h), np.linspace(0, 1, 200), width) * w / 2
    xs = np.abs(np.arange(w) - (w - 1) / 2)
    mask = (xs[None, :] <= half[:, None]).astype(np.uint8) * 255
    bow = int(w * rng.uniform(0, 0.16))  # the rims of a cylinder seen a little from above
    if bow > 1 and kind != "tube":
        full = np.zeros_like(mask)
        cv2.ellipse(full, (w // 2, h - 1 - bow), (w // 2, bow), 0, 0, 180, 255, -1)
        full[: h - bow] = 255
        mask = cv2.min(mask, full)
    return np.dstack([img, cv2.GaussianBlur(mask, (3, 3), 0)])


def _box3d(rng: np.random.Generator, h: int, w: int, pictures: list | None) -> np.ndarray:
    """A box turned a little, so that one side and perhaps the top show."""
    depth, rise = int(w * rng.uniform(0.1, 0.6)), int(h * rng.uniform(0.0, 0.14))
    taper = int(h * rng.uniform(0.0, 0.08))
    big_w, big_h = w + depth, h + rise
    out = np.zeros((big_h, big_w, 4), np.uint8)
    front, side = artwork(rng, h, w, pictures), artwork(rng, h, max(depth, 8), pictures)
    side = (side * rng.uniform(0.5, 0.95)).astype(np.uint8)
    quads = [
        (front, [[0, rise], [w, rise], [w, big_h], [0, big_h]]),
        (side, [[w, rise], [big_w, max(0, taper - rise)], [big_w, big_h - taper], [w, big_h]]),
    ]
    if rise > 2:
        lid = np.full((8, 8, 3), colour(rng), np.uint8)
        skew = max(0, taper - rise)
        quads.append((lid, [[0, rise], [depth, skew], [big_w, skew], [w, rise]]))
    for face, quad in quads:
        fh, fw = face.shape[:2]
        m = cv2.getPerspectiveTransform(np.float32([[0, 0], [fw, 0], [fw, fh], [0, fh]]), np.float32(quad))
        layer = np.dstack([face, np.full((fh, fw), 255, np.uint8)])
        warped = cv2.warpPerspective(layer, m, (big_w, big_h), flags=cv2.INTER_LINEAR)
        paste(out[..., :3], warped, 0, 0)
        out[..., 3] = cv2.max(out[..., 3], warped[..., 3])
    return out[:, ::-1].copy() if rng.random() < 0.5 else out


def _bag(rng: np.random.Generator, h: int, w: int, pictures: list | None) -> np.ndarray:
    img = artwork(rng, h, w, pictures)
    low = cv2.resize(rng.normal(0, 1, (7, 5)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    fold = cv2.resize(rng.normal(0, 1, (30, 22)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    shade = 1 + 0.13 * low + rng.uniform(0, 0.1) * fold
    shine = np.clip(fold - 1.2, 0, 1) * rng.uniform(0, 120)
    img = np.clip(img * shade[..., None] + shine[..., None], 0, 255).astype(np.uint8)
    seam = int(h * rng.uniform(0.02, 0.08))
    for y in (slice(0, seam), slice(h - seam, h)):
        img[y] = np.clip(img[y] * 0.8 + 30, 0, 255)
    edge = 0.02 + 0.04 * rng.random()
    wob = (
        cv2.resize(rng.uniform(0, edge, (9, 2)).astype(np.float32), (2, h), interpolation=cv2.INTER_CUBIC) * w
    )
    if rng.random() < 0.6:  # a pillow: narrow at the belly, wide at the seams, or the reverse
        belly = np.sin(np.linspace(0, np.pi, h)) * w * rng.uniform(-0.05, 0.05)
        wob = np.clip(wob + belly[:, None], 0, w * 0.2)
    xs = np.arange(w)
    mask = ((xs[None] >= wob[:, :1]) & (xs[None] < w - wob[:, 1:])).astype(np.uint8) * 255
    return np.dstack([img, cv2.GaussianBlur(mask, (3, 3), 0)])


def _carton(rng: np.random.Generator, h: int, w: int, pictures: list | None) -> np.ndarray:
    """A gable-top carton."""
    img = artwork(rng, h, w, pictures)
    roof, ridge = int(h * rng.uniform(0.12, 0.24)), int(h * rng.uniform(0.03, 0.06))
    inset = int(w * rng.uniform(0.0, 0.14))
    img[ridge:roof] = np.clip(img[ridge:roof].astype(np.float32) * rng.uniform(0.7, 1.25), 0, 255)
    mask = np.zeros((h, w), np.uint8)
    left = [[inset, ridge], [0, roof], [0, h], [w, h], [w, roof], [w - inset, ridge]]
    cv2.fillPoly(mask, [np.int32([[inset, 0], *left, [w - inset, 0]])], 255)
    if rng.random() < 0.6:
        r = max(2, int(w * rng.uniform(0.1, 0.2)))
        centre = (int(w * rng.uniform(0.35, 0.65)), (ridge + roof) // 2)
        cv2.circle(img, centre, r, colour(rng, 60), -1, cv2.LINE_AA)
        cv2.circle(img, centre, r, (90, 90, 90), 1, cv2.LINE_AA)
    return np.dstack([img, mask])


def _blister(rng: np.random.Generator, h: int, w: int, pictures: list | None) -> np.ndarray:
    """A hanging card with rounded corners and a hole, or a flat box or book."""
    img = artwork(rng, h, w, pictures)
    mask = np.zeros((h, w), np.uint8)
    r = int(min(h, w) * rng.uniform(0.02, 0.12)) + 1
    cv2.rectangle(mask, (r, 0), (w - 1 - r, h - 1), 255, -1)
    cv2.rectangle(mask, (0, r), (w - 1, h - 1 - r), 255, -1)
    for cx, cy in ((r, r), (w - 1 - r, r), (r, h - 1 - r), (w - 1 - r, h - 1 - r)):
        cv2.circle(mask, (cx, cy), r, 255, -1)
    cv2.ellipse(img, (w // 2, int(h * 0.06)), (max(2, w // 10), max(1, h // 50)), 0, 0, 360, (30, 30, 30), -1)
    if rng.random() < 0.6:
        cx, cy = w // 2, int(h * 0.62)
        bubble = (int(w * rng.uniform(0.2, 0.4)), int(h * rng.uniform(0.12, 0.28)))
        cv2.ellipse(img, (cx, cy), bubble, 0, 0, 360, colour(rng), -1, cv2.LINE_AA)
        cv2.ellipse(img, (cx, cy), bubble, 0, 0, 360, (210, 210, 210), 2, cv2.LINE_AA)
    return np.dstack([img, mask])


def _fruit(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    base = np.float32(colour(rng, 40, 235))
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    u, v = (xs - w / 2) / (w / 2), (ys - h / 2) / (h / 2)
    turn = np.arctan2(v, u)
    edge = 1 - sum(rng.uniform(0, 0.05) * (1 + np.cos(k * turn + rng.uniform(0, 6))) for k in (1, 2, 3))
    r = np.sqrt(u * u + v * v)
    light = np.clip(1.15 - 0.7 * np.hypot(u + 0.3, v + 0.35), 0.25, 1.3)
    spots = cv2.resize(rng.normal(0, 1, (24, 24)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    img = np.clip(base * light[..., None] * (1 + 0.06 * spots[..., None]), 0, 255).astype(np.uint8)
    return np.dstack([img, ((r < edge) * 255).astype(np.uint8)])


# Height over width of each kind, as a range.
_ASPECT = {
    "box": (0.5, 2.4),
    "box3d": (0.6, 2.2),
    "carton": (1.5, 3.0),
    "bottle": (1.8, 4.0),
    "can": (0.9, 2.4),
    "jar": (0.8, 2.0),
    "bag": (0.8, 1.9),
    "tube": (1.8, 4.0),
    "blister": (0.7, 2.2),
    "fruit": (0.7, 1.2),
}


def draw_package(
    rng: np.random.Generator,
    size: int = 192,
    kind: str | None = None,
    pictures: list[np.ndarray] | None = None,
) -> np.ndarray:
    """One product as an RGBA cut-out with longer side about `size` pixels, trimmed to its coverage."""
    kind = kind or str(rng.choice(KINDS, p=[0.17, 0.11, 0.1, 0.17, 0.1, 0.09, 0.11, 0.06, 0.05, 0.04]))
    aspect = float(np.exp(rng.uniform(*np.log(_ASPECT[kind]))))
    h, w = (size, max(24, int(size / aspect))) if aspect >= 1 else (max(24, int(size * aspect)), size)
    if kind == "box":
        cut = np.dstack([artwork(rng, h, w, pictures), np.full((h, w), 255, np.uint8)])
    elif kind == "box3d":
        cut = _box3d(rng, h, w, pictures)
    elif kind == "bag":
        cut = _bag(rng, h, w, pictures)
    elif kind == "carton":
        cut = _carton(rng, h, w, pictures)
    elif kind == "blister":
        cut = _blister(rng, h, w, pictures)
    elif kind == "fruit":
        cut = _fruit(rng, h, w)
    else:
        cut = _round(rng, kind, h, w, pictures)
    if kind in ("box", "carton", "blister") and rng.random() < 0.5:  # light falling off across the face
        ramp = np.linspace(rng.uniform(0.7, 1), rng.uniform(0.7, 1.1), cut.shape[1], dtype=np.float32)
        cut[..., :3] = np.clip(cut[..., :3] * ramp[None, :, None], 0, 255)
    return trim(cut)


def trim(cut: np.ndarray) -> np.ndarray:
    """The cut-out without empty borders; an empty cut-out comes back unchanged."""
    ys, xs = np.where(cut[..., 3] > 127)
    if len(ys) == 0:
        return cut
    return np.ascontiguousarray(cut[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
