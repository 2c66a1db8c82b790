/* The tree of topics: dragging by the handle, Alt with arrow keys, ticks. It fills the same forms as the buttons. */
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const nodes = () => [...document.querySelectorAll("#tree [data-topic]")];
  const nodeAt = (element) => element && element.closest && element.closest("#tree [data-topic]");
  const title = (node) => node.querySelector("a").textContent;
  const say = (text) => { const said = $("tree-said"); if (said && said.textContent !== text) said.textContent = text; };

  function send(values) {
    const form = $("shift");
    ["edit", "name", "way", "parent", "before"].forEach((field) => { form.elements[field].value = values[field] || ""; });
    form.requestSubmit();
  }

  /* everything under a node stands right below it, deeper */
  const level = (node) => Number(node.getAttribute("aria-level"));
  function branch(node) {
    const found = [node];
    for (let next = node.nextElementSibling; next && next.dataset.topic && level(next) > level(node); next = next.nextElementSibling) found.push(next);
    return found;
  }
  /* the next one on the same level, "" behind the last */
  function following(node) {
    const next = branch(node).at(-1).nextElementSibling;
    return next && next.dataset.topic && level(next) === level(node) ? next.dataset.topic : "";
  }

  /* keys: on the name of a topic */
  const WAYS = { ArrowUp: "up", ArrowDown: "down", ArrowRight: "in", ArrowLeft: "out" };
  document.addEventListener("keydown", (event) => {
    const node = nodeAt(event.target);
    if (event.key === "Escape" && drag) { drop(null); return; }
    if (!node || !WAYS[event.key] || event.ctrlKey || event.metaKey || event.shiftKey || !event.target.matches("a")) return;
    if (event.altKey) {
      event.preventDefault();
      send({ edit: "shift", name: node.dataset.topic, way: WAYS[event.key] });
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const all = nodes();
      const next = all[all.indexOf(node) + (event.key === "ArrowUp" ? -1 : 1)];
      if (next) { event.preventDefault(); next.querySelector("a").focus(); }
    }
  });

  /* dragging: the upper and lower quarter of a line mean before and after it, its middle inside it */
  let drag = null;
  function aim(event) {
    const over = nodeAt(document.elementFromPoint(event.clientX, event.clientY));
    nodes().forEach((node) => node.classList.remove("before", "after", "inside"));
    drag.over = over && !drag.branch.includes(over) ? over : null;
    if (!drag.over) return;
    const box = over.getBoundingClientRect();
    const part = (event.clientY - box.top) / box.height;
    drag.zone = part < 0.3 ? "before" : part > 0.7 ? "after" : "inside";
    over.classList.add(drag.zone);
    say(`${title(drag.node)} ${{ before: "in front of", after: "behind", inside: "under" }[drag.zone]} ${title(over)}`);
  }
  function drop(target) {
    nodes().forEach((node) => node.classList.remove("before", "after", "inside", "lifted"));
    const { node, zone } = drag;
    drag = null;
    if (!target) { say(`${title(node)} stays where it is.`); return; }
    const name = node.dataset.topic;
    if (zone === "inside") { send({ edit: "place", name, parent: target.dataset.topic }); return; }
    const follower = following(target);
    const before = zone === "before" ? target.dataset.topic : follower === name ? following(node) : follower;
    send({ edit: "place", name, parent: target.dataset.parent, before });
  }
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.matches("[data-grip]") || event.button) return;
    event.preventDefault();
    const node = nodeAt(event.target);
    drag = { node, branch: branch(node), over: null, zone: "" };
    drag.branch.forEach((one) => one.classList.add("lifted"));
    say(`${title(node)} is lifted. Escape puts it back.`);
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    aim(event);
    if (event.clientY < 60) scrollBy(0, -12);
    else if (event.clientY > innerHeight - 40) scrollBy(0, 12);
  });
  document.addEventListener("pointerup", () => { if (drag) drop(drag.over); });
  document.addEventListener("pointercancel", () => { if (drag) drop(null); });

  /* ticks: how many, and the name of the first as that of all */
  document.addEventListener("change", (event) => {
    if (!nodeAt(event.target) || !event.target.matches("[name=names]")) return;
    const ticked = nodes().filter((node) => node.querySelector("[name=names]").checked);
    const form = $("merge");
    form.querySelector("[data-ticked]").textContent = `${ticked.length} ticked`;
    form.elements.into.value = ticked.length ? title(ticked[0]) : "";
  });

  /* work that has ended loads the page anew; not while somebody is writing: it asks again in two seconds */
  const written = (field) => (/checkbox|radio/.test(field.type) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue);
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const fields = [...document.querySelectorAll("#topics :is(input:not([type=hidden]), textarea)")];
    if (event.detail.xhr.getResponseHeader("HX-Refresh") && fields.some(written)) event.preventDefault();
  });

  /* the topic that is shown is marked; on a narrow page it is brought into view */
  document.addEventListener("htmx:afterSwap", (event) => {
    const link = event.detail.requestConfig.elt;
    if (!$("topic") || !link.closest("#tree") || !link.matches("a[hx-target='#topic']")) return;
    document.querySelectorAll("#tree [aria-current]").forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
    if (matchMedia("(max-width: 60rem)").matches) $("topic").scrollIntoView({ block: "start" });
  });
})();
