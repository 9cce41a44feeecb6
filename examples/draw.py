"""Draws the pictures of this folder: clothes in grey on white, as simple as they can be. Needs Pillow."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent
GRID, SIZE = 28, 280
"""Outlines are drawn on squares of 28 by 28, as many as the model sees, in ten times as many pixels."""

# For each picture its outlines, one over the other: a grey from 0 (black) to 255 (white), and the corners.
PICTURES: dict[str, list[tuple[int, list[tuple[float, float]]]]] = {
    "shoe.png": [
        (90, [(27, 11), (24, 9), (20, 12.5), (16, 12), (9, 16), (2, 17), (1, 20), (27, 20)]),
        (200, [(27, 18.8), (1, 18.8), (1, 20.5), (27, 20.5)]),
        (160, [(17, 12.5), (15, 12.5), (10, 15.5), (12, 16.5)]),
    ],
    "bag.png": [
        (120, [(8, 8), (9, 3), (19, 3), (20, 8), (18, 8), (17.4, 5), (10.6, 5), (10, 8)]),
        (80, [(2, 8), (26, 8), (26.5, 25), (1.5, 25)]),
        (110, [(2, 8), (26, 8), (26, 13), (2, 13)]),
    ],
    "clothes/t-shirt.png": [
        (
            90,
            [
                (9, 2),
                (12, 4),
                (16, 4),
                (19, 2),
                (26, 7),
                (23.5, 12),
                (21, 10.5),
                (21, 26),
                (7, 26),
                (7, 10.5),
                (4.5, 12),
                (2, 7),
            ],
        ),
    ],
    "clothes/trousers.png": [
        (90, [(8.5, 1), (19.5, 1), (20.5, 27), (15.5, 27), (14.3, 9), (13.7, 9), (12.5, 27), (7.5, 27)]),
    ],
    "clothes/dress.png": [
        (
            90,
            [
                (10.5, 1),
                (12, 4),
                (16, 4),
                (17.5, 1),
                (18.5, 1.5),
                (18, 11),
                (21, 27),
                (7, 27),
                (10, 11),
                (9.5, 1.5),
            ],
        ),
    ],
    "clothes/pullover.png": [
        (
            90,
            [
                (10, 3),
                (18, 3),
                (22, 5),
                (26, 25),
                (22.5, 26),
                (20.5, 13),
                (20.5, 25),
                (7.5, 25),
                (7.5, 13),
                (5.5, 26),
                (2, 25),
                (6, 5),
            ],
        ),
    ],
    "clothes/boot.png": [
        (
            70,
            [
                (21, 2),
                (11, 2),
                (11, 13),
                (8, 17),
                (2, 20),
                (1, 25),
                (15, 25),
                (16, 24),
                (17, 26),
                (22, 26),
                (23, 16),
            ],
        ),
        (110, [(21, 2), (11, 2), (11, 4), (21, 4)]),
    ],
    "clothes/sneaker.png": [
        (60, [(27, 12), (24, 10), (20, 13), (16, 12), (9, 16), (2, 17), (1, 20), (27, 20)]),
        (190, [(27, 19), (1, 19), (1, 20.5), (27, 20.5)]),
    ],
}


def draw(outlines: list[tuple[int, list[tuple[float, float]]]]) -> Image.Image:
    """One picture."""
    picture = Image.new("L", (SIZE, SIZE), color=255)
    pencil = ImageDraw.Draw(picture)
    for grey, corners in outlines:
        pencil.polygon([(x * SIZE / GRID, y * SIZE / GRID) for x, y in corners], fill=grey)
    return picture.filter(ImageFilter.GaussianBlur(4))


if __name__ == "__main__":
    for name, outlines in PICTURES.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        draw(outlines).save(FOLDER / name, optimize=True)
