"""Pictures as a judge is sent them."""

from __future__ import annotations

import base64
from io import BytesIO

from PIL import Image

MOST_PIXELS = 1 << 20
"""Of a picture that is sent; a larger one is made smaller."""


def data_url(image: Image.Image) -> str:
    """A picture in the text of a request, as JPEG.

    Example:
        >>> data_url(Image.new("RGB", (2, 1)))[:23]
        'data:image/jpeg;base64,'
    """
    scale = (MOST_PIXELS / (image.width * image.height)) ** 0.5
    if scale < 1:
        image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
