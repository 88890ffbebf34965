"""What is looked for in a page by a program: contrast, names, width."""

#: Text whose contrast is too small, by the rules of WCAG 2 AA: 4.5, or 3 for large letters.
PALE = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest('option, :disabled')) continue;
    const style = getComputedStyle(element);
    const one = light(rgba(style.color));
    const other = light(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) {
      found.push(`${ratio.toFixed(2)} ${element.className}: ${walker.currentNode.data.trim()}`);
    }
  }
  return found;
}"""

#: Controls that a screen reader could only call "button" or "edit".
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, textarea, [role=img]')]
  .filter((each) => {
    const label = each.getAttribute('aria-label') || each.textContent.trim()
      || each.labels?.[0]?.textContent.trim();
    return !label;
  }).map((each) => each.outerHTML)"""

#: How many pixels the page is wider than its window.
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

#: What is cut off at the right, where one could not scroll to it.
CUT_OFF = """() => [...document.querySelectorAll('main :is(h1, h2, td, dd, a, button, input)')]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.outerHTML.slice(0, 200))"""

#: How much the layout has shifted since the page was opened, as the browser counts it.
SHIFT = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(
    list.getEntries().reduce((sum, each) => sum + each.value, 0)
  )).observe({type: 'layout-shift', buffered: true});
  setTimeout(() => done(0), 300);
})"""
