// Follows a job: asks the API how far it is, and fetches this very page anew for what has changed on it.
// Asks often while something happens and ever less while nothing does; a hidden tab does not ask at all.

const FASTEST_MS = 250;
const SLOWEST_MS = 4000;
const FRESH = ["progress", "evaluation", "next-steps"];
const GROWN = ["title", "results"];

const progress = () => document.getElementById("progress");
const announcement = document.getElementById("announcement");
const numbers = new Intl.NumberFormat("en", { useGrouping: true });
const count = (number) => numbers.format(number).replaceAll(",", "\u202f");

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function untilVisible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

function duration(seconds) {
  if (seconds < 120) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)}\u00a0min` : `${Math.round(seconds / 3600)}\u00a0h`;
}

function sentence(job, done) {
  if (job.state === "cancelled") {
    const left = job.total - done;
    return `${count(left)}\u00a0item${left === 1 ? "" : "s"} still in the hands of a worker`;
  }
  let text = `${count(done)} of ${count(job.total)} done`;
  const workedS = job.started ? (Date.now() - Date.parse(job.started)) / 1000 : 0;
  if (workedS < 1 || done === 0) return text;
  const rate = done / workedS;
  text += `, ${rate >= 1 ? count(Math.round(rate)) : rate.toFixed(1)} per second`;
  if (job.growing) return text; // Nobody knows how many there will be.
  return `${text}, about ${duration((job.total - done) / rate)} left`;
}

let quarter = 0;
let shownTotal = Number(progress().dataset.total);

function announce(done, total) {
  const now = Math.floor((4 * done) / total);
  if (now > quarter && now < 4) announcement.textContent = `${now * 25} percent done`;
  quarter = now;
}

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function showNewResults(page) {
  for (const fresh of page.querySelectorAll(".result")) {
    const old = document.getElementById(fresh.id);
    if (!old || old.dataset.state === fresh.dataset.state) continue;
    fresh.classList.add("is-new");
    old.replaceWith(document.adoptNode(fresh));
  }
}

function replace(ids, page) {
  for (const id of ids) document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
}

function showState(page) {
  const focused = progress().contains(document.activeElement);
  replace(FRESH, page);
  document.title = page.title;
  if (focused) (progress().querySelector("button") ?? document.getElementById("title")).focus();
}

const isWaiting = () => document.querySelector(".result.is-queued, .result.is-running") !== null;

function showProgress(job, done) {
  const bar = document.getElementById("bar");
  if (!bar) return; // The page was over already when it was fetched; the next step says so.
  bar.max = Math.max(1, job.total);
  bar.value = done;
  document.getElementById("sentence").textContent = sentence(job, done);
  announce(done, job.total);
}

// What it waits for, as the step before has found it; before the first one the page knows only whether it does.
let waiting;

function isOtherWaiting(job, shown) {
  const before = waiting;
  waiting = JSON.stringify(job.waiting);
  return before === undefined ? String(job.waiting !== null) !== shown.waiting : waiting !== before;
}

async function step(last) {
  const answer = await fetch(progress().dataset.job);
  if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
  if (!answer.ok) throw new Error(answer.statusText);
  const job = await answer.json();
  const done = job.succeeded + job.failed + job.cancelled;
  // A scan still adds items to a job that grows.
  const isOver = done === job.total && !job.growing;
  const shown = progress().dataset;
  const isNewState =
    isOver ||
    job.state !== shown.state ||
    String(job.growing) !== shown.growing ||
    isOtherWaiting(job, shown);
  const isGrown = job.total !== shownTotal;
  if (isNewState || isGrown || (done !== last && isWaiting())) {
    const page = await fetchPage();
    if (isGrown) replace(GROWN, page);
    else showNewResults(page);
    if (isNewState) showState(page);
    shownTotal = job.total;
  }
  if (isOver) {
    announcement.textContent = document.getElementById("state").textContent.trim();
  } else {
    showProgress(job, done);
  }
  return { done, isOver };
}

async function follow() {
  const fastest = () => (shownTotal > 1000 ? 4 * FASTEST_MS : FASTEST_MS);
  let wait = fastest();
  let last = document.getElementById("bar").value;
  for (;;) {
    await pause(wait);
    await untilVisible();
    try {
      const { done, isOver } = await step(last);
      if (isOver) return;
      wait = done === last ? Math.min(wait * 1.5, SLOWEST_MS) : fastest();
      last = done;
    } catch {
      const text = document.getElementById("sentence");
      if (text) text.textContent = "The server does not answer; trying again …";
      wait = Math.min(wait * 2, SLOWEST_MS);
    }
  }
}

if (progress().dataset.isOver === "false") follow();
