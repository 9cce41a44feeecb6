// Keeps the dashboard up to date: fetches this very page anew and shows what has changed on it.
// Often while something happens and ever less while nothing does; a hidden tab does not ask at all.

const FASTEST_MS = 2000;
const SLOWEST_MS = 30000;

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function untilVisible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// What somebody reads or has opened stays as it is: the focus on a link, and tables that are unfolded.
function show(old, fresh) {
  for (const details of old.querySelectorAll("details[open]")) {
    const same = details.id && fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = true;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? [...old.querySelectorAll(focused.tagName)].indexOf(focused) : -1;
  old.replaceChildren(...document.adoptNode(fresh).childNodes);
  if (focused) old.querySelectorAll(focused.tagName)[place]?.focus({ preventScroll: true });
}

const parts = [...document.querySelectorAll(".live")];
// As they came: unfolding a table changes a part, and is no news.
const shown = new Map(parts.map((part) => [part.id, part.innerHTML]));

async function refresh() {
  const page = await fetchPage();
  const fresh = parts.map((part) => page.getElementById(part.id));
  const changed = fresh.filter((part) => part.innerHTML !== shown.get(part.id));
  for (const part of changed) {
    shown.set(part.id, part.innerHTML);
    show(document.getElementById(part.id), part);
  }
  return changed.length > 0;
}

let wait = FASTEST_MS;
for (;;) {
  await pause(wait);
  await untilVisible();
  try {
    const hasChanged = await refresh();
    wait = hasChanged ? FASTEST_MS : Math.min(wait * 1.5, SLOWEST_MS);
  } catch {
    wait = Math.min(wait * 2, SLOWEST_MS);
  }
}
