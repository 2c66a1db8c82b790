/* The page of records: ticking, and review with the keyboard. Without it every action is a link or a form. */
"use strict";
(() => {
  const form = () => document.querySelector("form[data-records]");
  const drawer = () => document.getElementById("drawer");
  const links = () => [...document.querySelectorAll("#records [data-drawer]")];
  const current = () => document.querySelector("#records [data-drawer][aria-current]");
  const shut = () => drawer().hidden;

  /* ticks: how many, all of the page, and all that match */
  function told() {
    if (!form()) return;
    const boxes = [...form().querySelectorAll("input[name=id]")];
    const all = form().querySelector("input[name=all]").checked;
    const ticked = boxes.filter((box) => box.checked).length;
    boxes.forEach((box) => box.closest("tr").setAttribute("aria-selected", String(all || box.checked)));
    form().querySelector("[data-pick-all]").checked = ticked === boxes.length;
    form().querySelector("[data-picked]").textContent = all ? "All that match" : ticked ? `${ticked} ticked` : "Tick records, then choose what to do.";
  }
  document.addEventListener("change", (event) => {
    if (!form() || !form().contains(event.target)) return;
    if (event.target.matches("[data-pick-all]")) {
      form().querySelectorAll("input[name=id]").forEach((box) => { box.checked = event.target.checked; });
    }
    told();
  });
  addEventListener("pageshow", told); /* a browser that goes back keeps the ticks */

  /* moving: past the last record of a page comes the next page */
  function move(step) {
    const all = links();
    const at = all.indexOf(current());
    const next = shut() && at >= 0 ? all[at] : all[at + step];
    const page = document.querySelector(step > 0 ? "[data-older]" : "[data-newer]");
    if (next) next.click();
    else if (page) page.click();
  }

  const press = (selector) => { const button = document.querySelector(selector); if (button) button.click(); return Boolean(button); };

  function topic(number) {
    const select = drawer().querySelector("select[name=topic]");
    if (!select || number > select.options.length) return;
    select.selectedIndex = number - 1;
    select.form.dataset.goOn = "1";
    select.form.requestSubmit();
  }

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    e: () => press("#drawer [data-edit]"),
    u: () => press("#drawer [data-undo]") || press("[data-undo-last]"),
    x: () => { const box = current() && current().closest("tr").querySelector("input[name=id]"); if (box) box.click(); },
    "?": () => { const keys = document.getElementById("keys"); keys.open = !keys.open; if (keys.open) keys.scrollIntoView({ block: "nearest" }); },
  };
  /* While the drawer is on its way keys wait: they are meant for the record that comes, not for the one that was there. */
  let coming = false;
  const waiting = [];
  function act(key) {
    if (/^[1-9]$/.test(key)) { if (!shut()) topic(Number(key)); } else KEYS[key]();
  }
  /* before app.js, which moves only while a record is open */
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    const key = event.key.toLowerCase();
    if (!KEYS[key] && !(/^[1-9]$/.test(key) && (coming || !shut()))) return;
    if (coming) waiting.push(key);
    else act(key);
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  /* a record that changed in the drawer changes in the list; after an answer by key comes the next one */
  document.addEventListener("record-changed", (event) => {
    const row = document.querySelector(`#records input[name=id][value="${Number(event.detail.pk)}"]`);
    if (!row) return;
    row.closest("tr").querySelector("[data-topic]").textContent = event.detail.topic;
    links().forEach((link) => link.removeAttribute("aria-current"));
    row.closest("tr").querySelector("[data-drawer]").setAttribute("aria-current", "true");
  });
  let goOn = false;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target.id !== "drawer") return;
    coming = true;
    goOn = Boolean(event.target.dataset.goOn);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id !== "drawer") return;
    const on = goOn;
    coming = goOn = false;
    if (on) move(1);
    while (!coming && waiting.length) act(waiting.shift());
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.target.id !== "drawer" || event.detail.successful) return;
    waiting.length = 0;
    coming = false;
  });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-review-start]")) move(1); });
})();
