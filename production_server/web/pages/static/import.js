// Follows an import: fetches this very page anew, and puts in place what has changed on it, until it is over.

const EVERY_MS = 1000;
const SLOWEST_MS = 8000;

const shown = () => document.getElementById("import");

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

let waitMs = EVERY_MS;
while (shown().dataset.isOver === "false") {
  await pause(waitMs);
  if (document.hidden) continue;
  try {
    const page = await fetchPage();
    const fresh = page.getElementById("import");
    if (fresh.innerHTML !== shown().innerHTML) {
      document.title = page.title;
      shown().replaceWith(fresh);
      document.getElementById("announcement").textContent = fresh.querySelector(".state").textContent;
    }
    waitMs = EVERY_MS;
  } catch {
    waitMs = Math.min(2 * waitMs, SLOWEST_MS); // The service is away: the page stays as it is.
  }
}
