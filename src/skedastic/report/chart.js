// Describes the mark nearest to the pointer. A click in the legend hides and shows a series, a double click all others.
(() => {
  const REACH = 20, GAP = 10; // pixels: from the pointer to a mark at most, and from a mark to its description
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  // The visible marks of a plot: their places, in percent from its top left, and their descriptions.
  function* marks(plot) {
    for (const mark of plot.querySelectorAll("g:not(.off) > [data-hover]"))
      yield { x: parseFloat(mark.getAttribute("x")), y: parseFloat(mark.getAttribute("y")), text: mark.dataset.hover };
    for (const curve of plot.querySelectorAll("g:not(.off) [data-values]")) {
      const places = curve.getAttribute("d").split(/[ML]/).slice(1);
      for (const [i, value] of curve.dataset.values.split("|").entries()) {
        if (!value) continue;
        const [x, y] = places.shift().split(" ").map(Number);
        yield { x, y, text: `${curve.dataset.name}, epoch ${i + 1}: ${value}` };
      }
    }
  }

  function nearest(plot, pointer) {
    const { left, top, width, height } = plot.getBoundingClientRect();
    let closest, least = REACH;
    for (const { x, y, text } of marks(plot)) {
      const place = { x: left + (x * width) / 100, y: top + (y * height) / 100, text };
      const distance = Math.hypot(place.x - pointer.clientX, place.y - pointer.clientY);
      if (distance <= least) [closest, least] = [place, distance];
    }
    return closest;
  }

  function say({ x, y, text }) {
    tip.textContent = text;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const fits = x + GAP + width <= document.documentElement.clientWidth;
    tip.style.left = `${scrollX + Math.max(0, fits ? x + GAP : x - GAP - width)}px`;
    tip.style.top = `${scrollY + Math.max(0, y - height / 2)}px`;
  }

  function describe(event) {
    const drawing = event.target.closest?.(".drawing");
    const mark = drawing && nearest(drawing.querySelector(".plot"), event);
    if (mark) say(mark);
    else tip.hidden = true;
  }

  document.addEventListener("pointermove", describe);
  document.addEventListener("pointerdown", describe);
  document.documentElement.addEventListener("mouseleave", () => (tip.hidden = true));

  for (const legend of document.querySelectorAll(".legend")) {
    const keys = [...legend.querySelectorAll("button")];
    const plot = legend.parentElement.querySelector(".plot");
    const shown = (key) => key.getAttribute("aria-pressed") === "true";
    const show = (key, on) => {
      key.setAttribute("aria-pressed", on);
      plot.querySelector(`[data-layer="${key.dataset.layer}"]`).classList.toggle("off", !on);
    };
    for (const key of keys) {
      const others = keys.filter((other) => other !== key);
      key.addEventListener("click", () => show(key, !shown(key)));
      key.addEventListener("dblclick", () => {
        const on = !others.some(shown);
        show(key, true);
        others.forEach((other) => show(other, on));
      });
    }
  }
})();
