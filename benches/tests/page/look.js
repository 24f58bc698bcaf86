// Looks at every drawing of the page and leaves a verdict on its body.
const faults = [];
const apart = (a, b) =>
  a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 3 || b.bottom <= a.top + 3;
for (const figure of document.querySelectorAll("figure")) {
  const title = figure.querySelector("figcaption").textContent;
  const drawing = figure.querySelector("svg");
  const frame = drawing.getBoundingClientRect();
  const texts = [...drawing.querySelectorAll("text")].map((t) => [t, t.getBoundingClientRect()]);
  texts.forEach(([text, box], nth) => {
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
      faults.push(`${title}: ${text.textContent} is outside`);
    for (const [other, its] of texts.slice(nth + 1))
      if (!apart(box, its)) faults.push(`${title}: ${text.textContent} over ${other.textContent}`);
  });
  const shapes = [...drawing.querySelectorAll("rect, circle, polyline")];
  const seen = (box) => box.width * box.height > 0;
  if (!shapes.some((shape) => seen(shape.getBoundingClientRect()))) faults.push(`${title}: empty`);
}
const luminance = (colour) => {
  const [r, g, b] = colour.match(/\d+/g).map((c) => {
    const part = c / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const back = luminance(getComputedStyle(document.body).backgroundColor);
for (const text of document.querySelectorAll("p, td, th, li, a, svg text")) {
  const style = getComputedStyle(text);
  const colour = text.namespaceURI.endsWith("svg") ? style.fill : style.color;
  if (contrast(luminance(colour), back) < 4.5) faults.push(`${text.textContent} is hard to read`);
}
for (const shape of document.querySelectorAll("rect, circle, polyline")) {
  const style = getComputedStyle(shape);
  const colour = shape.localName === "polyline" || shape.classList.contains("disturbed")
    ? style.stroke : style.fill;
  if (contrast(luminance(colour), back) < 3) faults.push(`${shape.outerHTML} is hard to see`);
}
const scheme = back < 0.5 ? "dark" : "light";
const verdict = faults.length ? [...new Set(faults)].slice(0, 9).join(" | ") : "well";
document.body.dataset.seen = `${scheme}: ${verdict}`;
