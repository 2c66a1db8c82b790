/* Weights that sum to 100: moving one shares the rest out among the others, in the proportion they had when the move
   began. Without this file the server brings them to 100. */
"use strict";
(() => {
  let before = null;
  const weights = (box) => [...box.querySelectorAll("[data-weight]")];

  /* as core/dimensions.py does: whole numbers, the largest remainders get what is left */
  function shares(sizes, total) {
    const sum = sizes.reduce((all, size) => all + size, 0);
    const exact = sizes.map((size) => (sum ? (size / sum) * total : total / sizes.length));
    const whole = exact.map(Math.floor);
    const byRest = exact.map((_, at) => at).sort((a, b) => exact[b] - whole[b] - (exact[a] - whole[a]));
    const left = total - whole.reduce((all, part) => all + part, 0);
    byRest.slice(0, left).forEach((at) => { whole[at] += 1; });
    return whole;
  }

  document.addEventListener("input", (event) => {
    const moved = event.target;
    if (!moved.matches("[data-weight]")) return;
    const box = moved.closest("[data-weights]");
    const others = weights(box).filter((weight) => weight !== moved);
    if (!before || before.moved !== moved) before = { moved, sizes: others.map((weight) => Number(weight.value)) };
    shares(before.sizes, 100 - Number(moved.value)).forEach((part, at) => { others[at].value = part; });
    weights(box).forEach((weight) => {
      box.querySelectorAll(`[data-of="${CSS.escape(weight.id)}"]`).forEach((text) => { text.textContent = `${weight.value} %`; });
    });
  });
  document.addEventListener("htmx:afterSwap", () => { before = null; });
})();
