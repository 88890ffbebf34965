"""Makes the pictures of the page in docs/pictures: ``python -m tests.pictures [name ...]``.

The queue in them is a real one, and so is what its lists show; the curves are of a made up past,
since nobody wants to wait ten minutes for a picture.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from tests.browser import open_browser, wait_until
from tests.browser_world import open_world
from tests.pictures_world import BusyMinute, BusyPast, fail, fill, hide_the_path, tasks
from trioqueue.web import _sampler

HERE = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDE = {"viewport": {"width": 1200, "height": 860}, "device_scale_factor": 1.5}
PHONE = {
    "viewport": {"width": 375, "height": 760},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}

#: name -> (view, what the browser is like)
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "overview-light": ("", WIDE),
    "overview-dark": ("", {**WIDE, "color_scheme": "dark"}),
    "task": ("task/invoice-2026-1187", WIDE),
    "dead-letters": ("dead", WIDE),
    "phone": ("", PHONE),
}


def main(names: list[str]) -> None:
    _sampler.Series = BusyPast  # type: ignore[misc]
    _sampler.Window = BusyMinute  # type: ignore[misc]
    hide_the_path()
    HERE.mkdir(exist_ok=True)
    with open_browser() as browser, open_world(tasks=tasks, workers=14, before=fail) as world:
        world.wait(fill, world)
        for name in names or PICTURES:
            view, options = PICTURES[name]
            target = HERE / f"{name}.png"
            target.write_bytes(_smaller(_picture(browser, f"{world.url}#/{view}", options)))
            print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


def _picture(browser: Any, url: str, options: dict[str, Any]) -> bytes:
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".connection.good")
    wait_until(page, "document.fonts.status === 'loaded'")
    page.reload()  # now the letters are at hand before the first paint
    page.wait_for_selector(".connection.good")
    wait_until(page, "!document.querySelector('main .empty.quiet')")
    if url.endswith("#/"):
        page.wait_for_selector(".chart .stroke[d^='M']", state="attached")
        page.wait_for_selector(".tile:has-text('of 14 slots')")
    picture: bytes = page.screenshot()
    context.close()
    return picture


Colour = tuple[int, int, int]


def _smaller(picture: bytes) -> bytes:
    """In 256 colours, if Pillow is there: a third of the size, and no difference to be seen."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return picture
    full = Image.open(io.BytesIO(picture)).convert("RGB")
    found = sorted(full.getcolors(full.width * full.height) or [], reverse=True)
    palette = _palette([colour for _, colour in found])
    place = {
        colour: min(range(len(palette)), key=lambda index: _apart(palette[index], colour))
        for _, colour in found
    }
    few = Image.new("P", full.size)
    few.putpalette([part for colour in palette for part in colour])
    few.putdata([place[colour] for colour in full.getdata()])
    small = io.BytesIO()
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def _palette(colours: list[Colour]) -> list[Colour]:
    """The most frequent ones, and then what is least like them: a dot of green must stay green."""
    chosen, others = colours[:192], colours[192:]
    distance = {colour: min(_apart(colour, each) for each in chosen) for colour in others}
    while len(chosen) < 256 and distance:
        next_one = max(distance, key=lambda colour: distance[colour])
        chosen.append(next_one)
        distance = {colour: min(far, _apart(colour, next_one)) for colour, far in distance.items()}
        del distance[next_one]
    return chosen


def _apart(one: Colour, other: Colour) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    main(sys.argv[1:])
