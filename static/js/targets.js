/* Targets of topics: the mark on a bar and the field beside it say the same. Without it the fields do all. */
"use strict";
(() => {
  const form = document.querySelector("form[data-targets]");
  if (!form) return;
  const marks = [...form.querySelectorAll("[data-aims]")];
  const fields = marks.map((mark) => document.getElementById(mark.dataset.aims));
  const shown = (percent) => `${+percent.toFixed(1)}\u00a0%`;
  const typed = (field) => field.value.trim().replace("%", "").replace(",", ".");

  /* the same sentences as core/targets.py */
  function explained(given, rest) {
    const used = given.reduce((sum, value) => sum + value, 0);
    if (given.some(Number.isNaN)) return "Write numbers from 0 to 100.";
    if (!given.length) return `No target is set: each topic should have ${shown(100 / rest)}.`;
    if (used > 100.01) return `The targets add up to ${shown(used)}: take ${shown(used - 100)} away.`;
    if (rest === 1) return `${shown(used)} is set. 1 topic has no target and gets the rest.`;
    if (rest) return `${shown(used)} is set. ${rest} topics have no target and share the rest, ${shown((100 - used) / rest)} each.`;
    if (!used) return "Every target is 0, so each topic should have the same share.";
    if (used < 99.99) return `Every topic is set, ${shown(used)} together: they are scaled up to 100\u00a0%.`;
    return "Every topic is set, 100\u00a0% together.";
  }

  function told() {
    const given = fields.filter(typed).map((field) => Number(typed(field)));
    const rest = fields.length - given.length;
    const share = rest ? Math.max(0, 100 - given.reduce((sum, value) => sum + (value || 0), 0)) / rest : 0;
    fields.forEach((field, at) => {
      marks[at].value = typed(field) ? Number(typed(field)) || 0 : share;
      marks[at].setAttribute("aria-valuetext", `${typed(field) || share.toFixed(1)} percent`);
      field.placeholder = share.toFixed(1);
    });
    form.querySelector("[data-shared]").textContent = explained(given, rest);
  }

  form.addEventListener("input", (event) => {
    const at = marks.indexOf(event.target);
    if (at >= 0) fields[at].value = String(+marks[at].value);
    told();
  });
  form.querySelectorAll("line.target").forEach((line) => line.remove()); /* the marks that can be moved stand there */
  marks.forEach((mark) => { mark.hidden = false; });
  addEventListener("pageshow", told); /* a browser that goes back keeps what was typed */
})();
