// Copies a new key, and keeps a second click from making a second key. Both pages work without this module.

const copy = document.getElementById("copy");
const text = document.getElementById("new-key");

async function copyKey() {
  const told = document.getElementById("copied");
  text.select();
  try {
    await navigator.clipboard.writeText(text.value);
    copy.textContent = "Copied";
    told.textContent = "The key is copied.";
  } catch {
    // Beyond loopback browsers let pages copy only over TLS.
    told.textContent = "The key is selected: copy it with the keyboard.";
  }
}

if (copy) {
  copy.hidden = false;
  copy.addEventListener("click", copyKey);
}
for (const form of document.querySelectorAll("main form")) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", () => {
    button.disabled = true;
  });
  // Back from the answer, the browser may show this page as it was left.
  addEventListener("pageshow", () => {
    button.disabled = false;
  });
}
document.getElementById("problem")?.focus();
