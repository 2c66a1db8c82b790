/* The review: each answer has a key, written on its button. Without this file the buttons do the same. */
"use strict";
(() => {
  const question = () => document.getElementById("question");
  let waiting = false; /* one answer at a time: a key that is held down must not answer the next question */

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !question()) return;
    const field = event.target.closest("input, select, textarea");
    if (field && event.key === "Escape") field.blur();
    if (field) return;
    const target = question().querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!target) return;
    event.preventDefault();
    if (target.matches("input")) target.focus();
    else if (!waiting) target.click();
  });

  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.target === question()) waiting = true; });
  ["htmx:sendError", "htmx:responseError"].forEach((name) => document.addEventListener(name, () => { waiting = false; }));
  /* keys work again, and reading goes on, at the new question */
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "question") return;
    waiting = false;
    const heading = document.getElementById("question-h");
    if (heading) heading.focus({ preventScroll: true });
  });
})();
