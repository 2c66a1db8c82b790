/* RFT Studio: what HTML and htmx cannot do alone. Everything is delegated, so swapped parts need no set-up. */
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);

  /* toast: one at a time; errors stay until closed */
  let fading;
  function toast(text, stay) {
    const box = $("toast");
    if (!box || !text) return;
    box.firstElementChild.textContent = text;
    box.hidden = false;
    clearTimeout(fading);
    if (!stay) fading = setTimeout(() => { box.hidden = true; }, 8000);
  }

  /* drawer: focus goes in, and back to where it came from */
  let opener = null;
  function openDrawer() {
    const drawer = $("drawer");
    drawer.hidden = false;
    drawer.classList.add("open");
    drawer.scrollTop = 0;
    drawer.focus({ preventScroll: true });
  }
  function closeDrawer() {
    const drawer = $("drawer");
    if (!drawer || drawer.hidden) return false;
    drawer.classList.remove("open");
    drawer.hidden = true;
    drawer.replaceChildren();
    document.querySelectorAll("[data-drawer][aria-current]").forEach((a) => a.removeAttribute("aria-current"));
    const back = opener && document.contains(opener) ? opener : $("main");
    back.focus({ preventScroll: true });
    return true;
  }
  function neighbour(step) {
    const links = [...document.querySelectorAll("[data-drawer]")];
    const next = links[links.indexOf(opener) + step];
    if (next) next.click();
  }

  /* theme: a cookie, so that the server sends the right colours with the first byte */
  function setTheme(name) {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    document.cookie = `theme=${name}; path=/; max-age=${name ? 31536000 : 0}; samesite=lax`;
    document.querySelectorAll("[data-theme-set]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.themeSet === name)));
  }

  async function copy(button) {
    const source = $(button.dataset.copy);
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch { /* no clipboard without HTTPS: select it for Ctrl+C */
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      toast("Press Ctrl+C to copy the selected text.");
      return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    const link = hit("[data-drawer]");
    if (link) {
      opener = link;
      document.querySelectorAll("[data-drawer][aria-current]").forEach((a) => a.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
    }
    if (hit("[data-close]")) closeDrawer();
    if (hit("[data-dismiss]")) $("toast").hidden = true;
    if (hit("[data-copy]")) copy(hit("[data-copy]"));
    if (hit("[data-theme-set]")) setTheme(hit("[data-theme-set]").dataset.themeSet);
    document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const menu = document.querySelector("details.menu[open]");
    if (event.key === "Escape" && menu) {
      menu.open = false;
      menu.firstElementChild.focus();
    } else if (event.key === "Escape") closeDrawer();
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (!typing && $("drawer") && !$("drawer").hidden && /^[jk]$/i.test(event.key)) neighbour(/j/i.test(event.key) ? 1 : -1);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) event.preventDefault();
  }, true);

  /* htmx: drawer content, toasts the server asks for, requests that failed */
  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "drawer") openDrawer(); });
  document.addEventListener("toast", (event) => toast(event.detail.value));
  document.addEventListener("htmx:sendError", () => toast("The server cannot be reached. The page goes on trying.", true));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 403) toast("You are signed out, or this page is too old. Reload it and try again.", true);
    else if (status === 404) toast("That is not there any more. Reload the page.", true);
    else if (status === 429) toast("That was too often. Wait a minute, then try again.", true);
    else toast(`The server answered with an error (${status}). Try again; if it stays, tell whoever runs this server.`, true);
  });

  /* two controls for one value, such as a slider and its number */
  document.addEventListener("input", (event) => {
    const twin = $(event.target.dataset.mirror || "");
    if (twin) twin.value = event.target.value;
  });

  /* drop zone: a file dropped on the form stands in its file input; progress while it is sent */
  const zone = (event) => event.target.closest && event.target.closest("form[data-drop]");
  ["dragover", "dragleave", "drop"].forEach((name) => document.addEventListener(name, (event) => {
    const form = zone(event);
    if (!form || !event.dataTransfer) return;
    event.preventDefault();
    form.classList.toggle("over", name === "dragover");
    const input = form.querySelector("input[type=file]");
    if (name !== "drop" || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }));
  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = zone(event) && zone(event).querySelector("progress");
    if (!bar || !event.detail.lengthComputable) return;
    bar.hidden = false;
    bar.max = event.detail.total;
    bar.value = event.detail.loaded;
  });

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-toast]").forEach((m) => toast(m.dataset.toast)));

  /* what was chosen before htmx was there, or was put back by the browser, is news to the server */
  const unheard = (select) => [...select.options].findIndex((o) => o.defaultSelected) !== select.selectedIndex;
  document.addEventListener("htmx:load", () => document.querySelectorAll("select[hx-post]").forEach((select) => {
    if (unheard(select)) select.dispatchEvent(new Event("change", { bubbles: true }));
  }), { once: true });
})();
