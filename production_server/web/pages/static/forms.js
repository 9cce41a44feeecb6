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

function noAnswer() {
  const problem = document.createElement("div");
  problem.className = "problem";
  problem.tabIndex = -1;
  problem.setAttribute("role", "alert");
  const title = document.createElement("h2");
  title.textContent = "The server did not answer";
  const text = document.createElement("p");
  text.textContent = "What you chose is still here: try again in a moment.";
  problem.append(title, text);
  return problem;
}

async function send(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const problem = page.getElementById("problem");
  if (problem) {
    showProblem(document.adoptNode(problem));
  } else {
    document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
  }
}

async function sendInBackground(event) {
  const form = event.target;
  const hasFiles = [...form.elements].some((field) => field.type === "file" && field.files.length > 0);
  const button = form.querySelector("button[type=submit]");
  if (!hasFiles) return;
  event.preventDefault();
  button.disabled = true;
  button.textContent = "Sending …";
  try {
    await send(form);
  } catch {
    showProblem(noAnswer());
  }
  button.disabled = false;
  button.textContent = button.dataset.label;
}

document.getElementById("fill-example")?.addEventListener("click", fillExample);
for (const form of document.querySelectorAll("form[enctype='multipart/form-data']")) {
  const button = form.querySelector("button[type=submit]");
  button.dataset.label = button.textContent;
  form.addEventListener("submit", sendInBackground);
}
document.getElementById("problem")?.focus();
