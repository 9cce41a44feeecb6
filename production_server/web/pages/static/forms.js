// Forms are sent as they are without this module. It fills in the example in place, and sends files in the background,
// so that those chosen are still there when the server finds something wrong with them.

const place = document.getElementById("problem-place");

function fillExample(event) {
  event.preventDefault();
  const fields = document.querySelectorAll("input[data-example]");
  for (const field of fields) field.value = field.dataset.example;
  fields[0]?.focus();
}

function showProblem(problem) {
  place.replaceChildren(problem);
  problem.focus();
}

function notice(title, text) {
  const problem = document.createElement("div");
  problem.className = "problem";
  problem.tabIndex = -1;
  problem.setAttribute("role", "alert");
  const heading = document.createElement("h2");
  heading.textContent = title;
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  problem.append(heading, paragraph);
  return problem;
}

async function send(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  if (answer.status === 401) {
    showProblem(notice("You are logged out", "Log in in another tab, then send it again: what you chose is still here."));
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const problem = page.getElementById("problem");
  const reason = page.querySelector("main .lead")?.textContent ?? `It answered ${answer.status} ${answer.statusText}.`;
  showProblem(problem ? document.adoptNode(problem) : notice("Nothing was sent", reason));
}

async function sendInBackground(event) {
  const form = event.target;
  const hasFiles = [...form.elements].some((field) => field.type === "file" && field.files.length > 0);
  const button = form.querySelector("button[type=submit]");
  button.disabled = true; // A second click would be a second job.
  if (!hasFiles) return;
  event.preventDefault();
  button.textContent = "Sending …";
  try {
    await send(form);
  } catch {
    showProblem(notice("The server did not answer", "What you chose is still here: try again in a moment."));
  }
  reset(button);
}

function reset(button) {
  button.disabled = false;
  button.textContent = button.dataset.label;
}

document.getElementById("fill-example")?.addEventListener("click", fillExample);
for (const form of document.querySelectorAll("form[enctype='multipart/form-data']")) {
  const button = form.querySelector("button[type=submit]");
  button.dataset.label = button.textContent;
  form.addEventListener("submit", sendInBackground);
  // Back from the job's page, the browser may show this one as it was left.
  addEventListener("pageshow", () => reset(button));
}
document.getElementById("problem")?.focus();
