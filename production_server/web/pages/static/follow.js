// Follows what is under way: fetches this very page anew, and puts in place what has changed of it, until all is over.

const SLOWEST_MS = 8000;

const followed = (page) => [...page.querySelectorAll("[data-follow]")];

const underWay = () => document.querySelector('[data-is-over="false"]');

const everyMs = () => Number(underWay()?.dataset.everyMs);

const known = new Map(followed(document).map((each) => [each.id, each.outerHTML]));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function replace(fresh) {
  // What somebody has opened on the page does not count as a change.
  if (known.get(fresh.id) === fresh.outerHTML) return;
  known.set(fresh.id, fresh.outerHTML);
  const news = fresh.querySelector("[data-announce]");
  if (news) document.getElementById("announcement").textContent = news.textContent.replace(/\s+/g, " ").trim();
  document.getElementById(fresh.id).replaceWith(fresh);
}

let waitMs = everyMs();
while (underWay()) {
  await pause(waitMs);
  if (document.hidden) continue;
  try {
    const page = await fetchPage();
    document.title = page.title;
    for (const fresh of followed(page)) replace(fresh);
    waitMs = everyMs();
  } catch {
    waitMs = Math.min(2 * waitMs, SLOWEST_MS); // The service is away: the page stays as it is.
  }
}
