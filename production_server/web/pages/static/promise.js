// A slider over the promises of the table: where it is left, the page shows what that one changes. Without this module
// the table's links do the same.

const slider = document.getElementById("slider");
const position = document.getElementById("position");
const oneIn = document.getElementById("one-in");
const stops = () => [...document.querySelectorAll("#tried .stop")];

let latest = 0;

function tell() {
  const stop = stops()[position.value];
  oneIn.textContent = stop.textContent;
  position.setAttribute("aria-valuetext", `one in ${stop.textContent}`);
}

async function show() {
  const asked = ++latest;
  const { href } = stops()[position.value];
  const answer = await fetch(href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return location.assign(href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  // Of what was asked for meanwhile only the latest is shown.
  if (asked !== latest) return;
  document.getElementById("tried").replaceChildren(...document.adoptNode(page.getElementById("tried")).childNodes);
  history.replaceState(null, "", href);
}

position.addEventListener("input", tell);
position.addEventListener("change", show);
slider.hidden = false;
tell();
