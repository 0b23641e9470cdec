"""Dots to count, drawn on the spot."""

from PIL import Image, ImageDraw

from vrft_pl.data import Record, Source


class Dots:
    """A picture of some dots."""

    def __init__(self, number):
        self.number = number

    def open(self):
        image = Image.new("RGB", (64, 48), "white")
        for i in range(self.number):
            ImageDraw.Draw(image).ellipse((4 + 12 * i, 20, 10 + 12 * i, 26), fill="black")
        return image


class DotRows(Source):
    """From one to five dots."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return Record(f"dots {index}", (Dots(index + 1),), "How many dots are there?", index + 1)
