// Answers by keys, and the next question at once: it came with the page. Forms are sent in the background, one after the
// other; what the service answers is this page with the questions as they stand. Without this module forms do the same.

const question = document.getElementById("question");
const next = document.getElementById("next-question");
const announcement = document.getElementById("announcement");

const itemOf = (place) => place.querySelector(".question")?.dataset.item;

let waiting = 0; // forms that are sent, or wait for those before them
let sending = Promise.resolve();

function load(pictures) {
  for (const each of pictures.querySelectorAll("img")) new Image().src = each.src;
}

function ready(page) {
  const fresh = page.getElementById("next-question");
  const isBehind = fresh && itemOf(fresh.content) !== itemOf(question);
  next.content.replaceChildren(...(isBehind ? document.importNode(fresh.content, true).childNodes : []));
  load(next.content);
}

function show(page) {
  question.replaceChildren(...document.importNode(page.getElementById("question"), true).childNodes);
  document.querySelector("h1").textContent = page.querySelector("h1").textContent;
  announcement.textContent = question.querySelector(".label")?.textContent ?? "Nothing is left";
}

// The question that came with the page before, while the answer to this one is on its way.
function moveOn() {
  if (!next.content.querySelector(".question")) {
    question.setAttribute("aria-busy", "true");
    return;
  }
  question.replaceChildren(...next.content.childNodes);
  announcement.textContent = question.querySelector(".label").textContent;
  question.focus({ preventScroll: true });
}

function take(page, { isUndo }) {
  for (const id of ["label-progress", "problem-place", "undo"]) {
    document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
  }
  document.getElementById("problem")?.focus();
  const isShown = itemOf(page.getElementById("question")) === itemOf(question);
  // While others are on their way, this page does not know yet that theirs are answered.
  if (waiting === 0) {
    if (!isShown || isUndo) show(page);
    question.removeAttribute("aria-busy");
  }
  if (waiting === 0 || isShown) ready(page);
}

function say(text) {
  const problem = document.createElement("p");
  problem.className = "problem";
  problem.setAttribute("role", "alert");
  problem.textContent = text;
  document.getElementById("problem-place").replaceChildren(problem);
}

async function post(address, fields, options) {
  try {
    const answer = await fetch(address, { method: "POST", body: fields });
    if (answer.status === 401) location.reload(); // The session is over: the page asks for a key.
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    waiting -= 1;
    if (page.getElementById("label-progress")) take(page, options);
    else say(page.querySelector("main .lead")?.textContent ?? `The server answered ${answer.status}: nothing was stored.`);
  } catch {
    waiting -= 1;
    say("The server does not answer: what you said last was not stored. Load the page again to go on.");
  }
}

function send(event) {
  const form = event.target;
  const isUndo = form.id === "undo";
  if (!isUndo && !question.contains(form)) return;
  event.preventDefault();
  if (question.hasAttribute("aria-busy") && !isUndo) return;
  const fields = new FormData(form, event.submitter);
  const address = form.action;
  waiting += 1;
  if (isUndo) question.setAttribute("aria-busy", "true");
  else moveOn();
  sending = sending.then(() => post(address, new URLSearchParams(fields), { isUndo }));
}

function isTyping(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  // Space and Enter press what has the focus.
  if (event.key === " " && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return;
  const meant = document.querySelector(`#question [data-key="${CSS.escape(event.key)}"], #undo [data-key="${CSS.escape(event.key)}"]`);
  if (!meant) return;
  event.preventDefault();
  if (isTyping(meant)) meant.focus();
  else meant.click();
}

document.addEventListener("submit", send);
document.addEventListener("keydown", onKey);
load(next.content);
document.getElementById("problem")?.focus();
