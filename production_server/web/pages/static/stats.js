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
  Object.assign(old.dataset, fresh.dataset);
  if (focused) old.querySelectorAll(focused.tagName)[place]?.focus({ preventScroll: true });
}

async function refresh() {
  const page = await fetchPage();
  let hasChanged = false;
  for (const fresh of page.querySelectorAll(".live")) {
    const old = document.getElementById(fresh.id);
    const before = old.dataset.html ?? old.innerHTML;
    if (before === fresh.innerHTML) continue;
    const html = fresh.innerHTML;
    show(old, fresh);
    old.dataset.html = html; // Unfolding a table changes the old one, and is no news.
    hasChanged = true;
  }
  return hasChanged;
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
