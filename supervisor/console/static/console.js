// The console's only script: live updates, dialogs, theme, local times. Without it every page still
// works, except the restart dialog.

const POLL_MS = 1000;
const RETRY_MS = 3000;

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function syncAttributes(node, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const { name } of [...node.attributes]) {
    // What the reader opened stays open.
    if (!fresh.hasAttribute(name) && name !== "open") node.removeAttribute(name);
  }
}

// Turn `node` into `fresh` without replacing what is equal: focus, open dialogs and typed text survive.
function sync(node, fresh) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== fresh.data) node.data = fresh.data;
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  syncAttributes(node, fresh);
  let at = node.firstChild;
  for (const child of [...fresh.childNodes]) {
    let match = null;
    if (child.id) match = [...node.children].find((other) => other.id === child.id && same(other, child));
    else if (at && same(at, child)) match = at;
    if (!match) {
      node.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (match !== at) node.insertBefore(match, at);
    sync(match, child);
    at = match.nextSibling;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.dateTime;
      time.textContent = clock.format(at);
    }
  }
}

async function refresh(live) {
  const answer = await fetch("/live", { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(5000) });
  if (answer.status === 401) {
    location.assign("/login");
    return;
  }
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(`<div id="live">${await answer.text()}</div>`, "text/html");
  localTimes(page);
  sync(live, page.getElementById("live"));
}

async function follow(live) {
  const lost = document.getElementById("lost");
  for (;;) {
    let pause = POLL_MS;
    if (!document.hidden) {
      try {
        await refresh(live);
        lost.hidden = true;
      } catch {
        lost.hidden = false;
        pause = RETRY_MS;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.opens) {
    const dialog = document.getElementById(button.dataset.opens);
    dialog.showModal();
    dialog.querySelector("input[name=reason]").focus();
  } else if (button.dataset.closes) {
    document.getElementById(button.dataset.closes).close();
  } else if (button.id === "theme") {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `glyph-theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
  }
}

function start() {
  document.addEventListener("click", onClick);
  document.getElementById("theme").hidden = false;
  localTimes(document);
  const once = document.getElementById("once");
  const live = document.getElementById("live");
  // Neither a used-up link nor the address of a form belongs into the history.
  history.replaceState(null, "", live ? "/" : location.pathname);
  if (once) once.submit();
  if (live) follow(live);
}

start();
