/* Files go to the server in parts, and on from where the server is: after a lost connection, a stop, a reload.
   Without this script the form is sent as forms are. */
"use strict";
(() => {
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  const EDGE = 65536, RETRY = [0, 400, 408, 429, 500, 502, 503, 504];
  const part = (name) => form.querySelector(`[data-${name}]`);
  const input = form.querySelector("input[type=file]"), panel = part("sending"), bar = panel.querySelector("progress");
  const button = part("stop"), primary = form.querySelector(".btn.primary");
  input.multiple = true;
  let files = [], at = 0, target = form.dataset.upload, last = null, xhr = null, stopped = true, said = -1, seen = [];

  class Refusal extends Error {}

  const size = (bytes) => {
    let unit = 0;
    for (; bytes >= 999.5 && unit < 4; unit++) bytes /= 1000;
    return `${bytes.toFixed(unit && bytes < 9.95 ? 1 : 0)}\u00a0${["B", "kB", "MB", "GB", "TB"][unit]}`;
  };
  const time = (seconds) => seconds < 90 ? `${Math.max(1, Math.round(seconds))}\u00a0s`
    : seconds < 5400 ? `${Math.round(seconds / 60)}\u00a0min` : `${(seconds / 3600).toFixed(1)}\u00a0h`;
  const say = (text) => { part("say").textContent = text; };

  /* true progress: bytes that left this machine, and the rate of the last ten seconds */
  function show(file, sent) {
    const now = performance.now() / 1000;
    seen.push([now, sent]);
    while (seen.length > 2 && seen[0][0] < now - 10) seen.shift();
    const rate = (sent - seen[0][1]) / Math.max(now - seen[0][0], 0.001);
    const moving = seen.length > 1 && rate > 0 && now - seen[0][0] > 0.5;
    const share = Math.floor(100 * sent / file.size);
    bar.max = file.size;
    bar.value = sent;
    part("lead").textContent = files.length > 1 ? `${file.name} (${at + 1} of ${files.length})` : file.name;
    part("facts").textContent = ` \u00b7 ${size(sent)} of ${size(file.size)} (${share}\u00a0%)`
      + (moving ? ` \u00b7 ${size(rate)}/s \u00b7 about ${time((file.size - sent) / rate)} left` : "");
    if (Math.floor(share / 10) !== said) { /* a screen reader hears every tenth */
      said = Math.floor(share / 10);
      say(`${share}\u00a0% sent. Keep this page open; if it closes, choose the same file again and it goes on from there.`);
    }
  }

  function post(url, body, sent) {
    return new Promise((resolve) => {
      xhr = new XMLHttpRequest();
      xhr.open("POST", url);
      xhr.responseType = "json";
      xhr.timeout = 300000;
      xhr.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
      if (body instanceof Blob) xhr.setRequestHeader("Content-Type", "application/octet-stream");
      xhr.upload.onprogress = (event) => sent && sent(event.loaded);
      xhr.onload = () => resolve({ status: xhr.status, data: xhr.response });
      xhr.onerror = xhr.ontimeout = xhr.onabort = () => resolve({ status: 0, data: null });
      xhr.send(body);
    });
  }

  function pause(seconds) { /* ends early when the network is back or somebody presses Stop */
    return new Promise((resolve) => {
      setTimeout(resolve, seconds * 1000);
      addEventListener("online", resolve, { once: true });
      button.addEventListener("click", resolve, { once: true });
    });
  }

  /* asks until the server answers; a refusal is its own sentence */
  async function insist(url, body, sent) {
    for (let failures = 0; !stopped; failures++) {
      const { status, data } = await post(url, body(), sent);
      if (stopped) return null;
      if (data && (status === 200 || status === 409)) return data;
      if (status === 200) throw new Refusal("You are signed out. Sign in again in another tab, then press Resume.");
      if (status === 403) throw new Refusal("This page is too old. Reload it and choose the file again; it goes on.");
      if (status === 404) throw new Refusal("This upload is not there any more. Reload the page and start again.");
      if (!RETRY.includes(status)) throw new Refusal((data && data.error) || `The server answered with error ${status}.`);
      try {
        await files[at].slice(0, 1).arrayBuffer();
      } catch {
        throw new Refusal("The file was moved or changed on your machine. Reload the page and choose it again.");
      }
      const seconds = Math.min(30, 2 ** failures);
      say(`The connection was lost. Nothing is lost: it goes on by itself; next try in ${seconds}\u00a0s.`);
      said = -1;
      seen = [];
      await pause(seconds);
    }
    return null;
  }

  async function send(file) {
    const begin = () => {
      const data = new FormData();
      data.set("name", form.elements.name ? form.elements.name.value : "");
      data.set("filename", file.name);
      data.set("size", file.size);
      data.set("modified", file.lastModified);
      data.set("head", file.slice(0, EDGE), "head");
      data.set("tail", file.slice(Math.max(0, file.size - EDGE)), "tail");
      return data;
    };
    let state = await insist(target, begin);
    while (state && !state.done) {
      const { offset, chunk, url } = state;
      show(file, offset);
      state = await insist(`${url}?offset=${offset}`, () => file.slice(offset, offset + chunk), (n) => show(file, Math.min(offset + n, file.size)));
    }
    return state;
  }

  function running(on) {
    stopped = !on;
    primary.disabled = input.disabled = on;
    panel.hidden = false;
    button.textContent = on ? "Stop" : "Resume";
    if (on) [said, seen] = [-1, []];
  }

  async function run() {
    running(true);
    try {
      for (; at < files.length; at++) {
        const state = await send(files[at]);
        if (!state) return;
        [last, target] = [state, state.into];
      }
      say("All is here. Reading the beginning of the file.");
      location.assign(files.length > 1 ? last.list : last.done);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      running(false);
      say(error.message);
    }
  }

  button.addEventListener("click", () => {
    if (stopped) { run(); return; }
    running(false);
    if (xhr) xhr.abort();
    say("Stopped. What was sent is kept; Resume goes on from there.");
  });
  form.addEventListener("submit", (event) => {
    if (!input.files.length || form.elements.pasted.value.trim()) return;
    event.preventDefault();
    [files, at, target] = [[...input.files], 0, form.dataset.upload];
    run();
  });
})();
